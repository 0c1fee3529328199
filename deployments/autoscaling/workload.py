"""What a replica has to do: how busy its threads are, and how many seconds of work it knows of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from deployments.contract.types import Queued

P = ParamSpec("P")
T = TypeVar("T")
NEWS_S = 5.0  # a gateway with a queue calls all the time: after so long without a call its queue is empty
KEPT = 0.5  # of the seconds per cost known so far, when an interval brings new ones


class BusyPool(ThreadPoolExecutor):
    """A thread pool that knows which part of the time its threads work."""

    def __init__(
        self, threads: int, name: str, clock: Callable[[], float] = time.perf_counter, *, together: bool = False
    ) -> None:
        """Make a pool of threads.

        Args:
            threads: how many.
            name: what they are called.
            clock: tells seconds.
            together: the threads share what they work with: one at work counts as all of them.
        """
        super().__init__(threads, thread_name_prefix=name)
        self._together = together
        self._since = 0.0  # when the first of the running jobs began, or was last counted
        self._clock = clock
        self._guard = threading.Lock()
        self._busy_s = 0.0
        self._running: dict[int, float] = {}  # thread to when its job began, or was last counted
        self._counted_at = clock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread, and count the time it takes."""
        return super().submit(partial(self._timed, fn, *args, **kwargs))

    def _timed(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        thread = threading.get_ident()
        with self._guard:
            now = self._clock()
            if not self._running:
                self._since = now
            self._running[thread] = now
        try:
            return fn(*args, **kwargs)
        finally:
            with self._guard:
                began = self._running.pop(thread)
                if not self._together:
                    self._busy_s += self._clock() - began
                elif not self._running:
                    self._busy_s += self._clock() - self._since

    def busy(self) -> float:
        """The part of the time since the last question that threads worked, 0 to 1; jobs that still run count."""
        with self._guard:
            now = self._clock()
            if self._running and self._together:
                self._busy_s += now - self._since
                self._since = now
            elif self._running:
                self._busy_s += sum(now - since for since in self._running.values())
                self._running = dict.fromkeys(self._running, now)
            workers = 1 if self._together else self._max_workers
            part = self._busy_s / max((now - self._counted_at) * workers, 1e-9)
            self._busy_s, self._counted_at = 0.0, now
        return part


class Workload:
    """The calls that a replica holds, and the queues behind them, in seconds of its own work.

    Costs come in the gateway's units (tokens, pictures); how long one takes is what this replica measured.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of no work; ``clock`` tells seconds."""
        self._clock = clock
        self._held = 0
        self._done = 0  # cost answered since the last report
        self._refused = 0  # cost that gateways refused since then
        self._spent_s = 0.0  # on what was not answered until then
        self._queues: dict[str, tuple[float, int]] = {}  # gateway to when it called last and what it left waiting
        self._seconds_per_cost = 0.0
        self._reported_at = clock()

    def begin(self, queued: Queued) -> None:
        """Take a call, and hear what waits where it came from."""
        self._held += queued.cost
        self._refused += queued.refused
        self._queues[queued.gateway] = (self._clock(), queued.waiting)

    def end(self, queued: Queued) -> None:
        """Give a call back, answered or not."""
        self._held -= queued.cost
        self._done += queued.cost

    def report(self, busy: float) -> dict[str, float]:
        """What the autoscaling policy reads: ``Report``'s fields by name.

        Args:
            busy: the part of the time since the last report that the slowest stage worked.
        """
        now = self._clock()
        if not self._held and not self._done:
            busy = 0.0  # proofs of health are no reason to keep a replica
        elapsed, self._reported_at = max(now - self._reported_at, 1e-9), now
        self._spent_s += busy * elapsed
        if self._done:
            measured = self._spent_s / self._done
            known = self._seconds_per_cost or measured
            self._seconds_per_cost = KEPT * known + (1 - KEPT) * measured
            self._done, self._spent_s = 0, 0.0
        self._queues = {gateway: news for gateway, news in self._queues.items() if now - news[0] <= NEWS_S}
        waiting = sum(cost for _, cost in self._queues.values())
        refused, self._refused = self._refused / elapsed, 0
        return {
            "busy": busy,
            "refused": refused * self._seconds_per_cost,
            "held_s": self._held * self._seconds_per_cost,
            "waiting_s": waiting * self._seconds_per_cost,
        }


class Processor:
    """Which part of one core this process uses."""

    def __init__(
        self, wall: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        """Count from now on; both clocks tell seconds."""
        self._wall, self._used = wall, used
        self._last = (wall(), used())

    def busy(self) -> float:
        """Seconds of processor time per second since the last question."""
        before, self._last = self._last, (self._wall(), self._used())
        return (self._last[1] - before[1]) / max(self._last[0] - before[0], 1e-9)
