"""A gateway in simulated time: HAProxy before it, which heeds what the gateway last told, and encoders that batch behind it."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field

from deployments.http.crowd import Crowd

PLACES = 256
HEARD_S = 2  # without an answer for so long HAProxy goes by the places again


@dataclass
class Gateway:
    """Answers requests in batches, as many at a time as wait, in the time ``batch_s`` and ``each_s`` for each request in it."""

    wait_s: float | None
    batch_s: float = 0.003
    each_s: float = 0.0006
    largest: int = 40
    share: float = 1.0  # of the number that HAProxy was told: three quarters where all requests are of one client
    now: float = 0.0
    open: int = 0
    told: int = PLACES  # what HAProxy heard with the last answer
    told_at: float = 0.0
    waiting: deque[tuple[float, int]] = field(default_factory=deque)
    latencies: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        self.crowd = Crowd(lambda: self.now)
        self._order = itertools.count()
        self._events: list[tuple[float, int, str, object]] = []
        self._busy = False

    @property
    def capacity(self) -> float:
        """Requests a second, in full batches."""
        return self.largest / (self.batch_s + self.largest * self.each_s)

    def at(self, when: float, what: str, about: object = None) -> None:
        heapq.heappush(self._events, (when, next(self._order), what, about))

    def run(self, until: float, clients: int = 0) -> None:
        """Let time pass; each of ``clients`` sends its next request when it has its answer, or a second after a refusal."""
        for _ in range(clients):
            self.at(self.now, "ask", True)
        while self._events and self._events[0][0] <= until:
            self.now, _, what, about = heapq.heappop(self._events)
            if what == "ask":
                self._ask(again=bool(about))
            elif what == "leave":
                self._answer(*about)  # type: ignore[misc]
            else:
                self._back(about)  # type: ignore[arg-type]
        self.now = until

    def arrivals(self, rate: float, seconds: float, seed: int) -> None:
        """An open loop, from now on."""
        chance, when = random.Random(seed), self.now
        while (when := when + chance.expovariate(rate)) < self.now + seconds:
            self.at(when, "ask")

    def slow(self, count: int, seconds: float) -> None:
        """Requests that take long whatever else there is."""
        for _ in range(count):
            self.open += 1
            self.at(self.now + seconds, "leave", (self.now, self.crowd.enter(self.open, PLACES, self.wait_s), False))

    def _ask(self, *, again: bool) -> None:
        heard = self.told < PLACES and self.now - self.told_at < HEARD_S
        if self.open >= (int(self.told * self.share) if heard else PLACES):
            self.refused += 1
            if again:
                self.at(self.now + 1, "ask", True)
            return
        self.open += 1
        self.waiting.append((self.now, self.crowd.enter(self.open, PLACES, self.wait_s)))
        self.limits.append(self.told)
        self._clients = again
        self._start()

    def _start(self) -> None:
        if self._busy or not self.waiting:
            return
        batch = [self.waiting.popleft() for _ in range(min(self.largest, len(self.waiting)))]
        self._busy = True
        self.at(self.now + self.batch_s + self.each_s * len(batch), "back", batch)

    def _back(self, batch: list[tuple[float, int]]) -> None:
        self._busy = False
        for began, tick in batch:
            self._answer(began, tick, self._clients)
            self.latencies.append(self.now - began)
        self._start()

    def _answer(self, _: float, tick: int, again: bool) -> None:
        self.open -= 1
        self.crowd.leave(tick)
        self.told, self.told_at = PLACES if self.crowd.limit is None else self.crowd.limit, self.now
        if again:
            self.at(self.now, "ask", True)


def percentile(values: list[float], percent: float) -> float:
    """A percentile of some values."""
    return sorted(values)[min(int(len(values) * percent / 100), len(values) - 1)]
