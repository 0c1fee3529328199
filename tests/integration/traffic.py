"""Closed-loop clients that check every vector against the artifact it is labelled with."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray

References = dict[str, dict[str, NDArray[np.float32]]]  # content hash → input's name → vector


@dataclass(frozen=True)
class Call:
    """One kind of request and how to read its answer."""

    name: str
    method: dict[str, Any]  # keyword arguments of httpx2's post


@dataclass
class Traffic:
    """Runs clients until stopped; nothing that goes wrong is forgotten."""

    url: str
    calls: list[Call]
    references: References
    clients: int = 16
    pause: float = 0  # seconds that each client rests after an answer
    failures: list[str] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)  # when the requests of ``failures`` began
    answers: list[tuple[float, float, str, str]] = field(default_factory=list)  # start, seconds, x-model, hash
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        self._threads = [threading.Thread(target=self._client, args=(i,)) for i in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _client(self, number: int) -> None:
        with httpx2.Client(base_url=self.url, timeout=60, trust_env=False) as client:
            turn = number
            while not self._stop.is_set():
                self._one(client, self.calls[turn % len(self.calls)])
                turn += 1
                self._stop.wait(self.pause)

    def _one(self, client: httpx2.Client, call: Call) -> None:
        start = time.monotonic()
        try:
            answer = client.post(**call.method)
        except httpx2.HTTPError as error:
            self._fail(start, f"{call.name}: {type(error).__name__}: {error}")
            return
        seconds = time.monotonic() - start
        if answer.status_code != 200:
            self._fail(start, f"{call.name}: {answer.status_code} {answer.text[:300]}")
            return
        label = answer.headers["x-model-hash"]
        vector = np.array(answer.json()["data"][0]["embedding"], np.float32)
        known = self.references.get(label, {}).get(call.name)
        if known is None:
            self._fail(start, f"{call.name}: labelled with {label}, which nobody asked for")
        elif not np.array_equal(known, vector):
            self._fail(start, f"{call.name}: not the vector of {label}; off by {np.abs(known - vector).max()}")
        self.answers.append((start, seconds, answer.headers["x-model"], label))

    def _fail(self, start: float, what: str) -> None:
        self.failures.append(what)
        self.failed_at.append(start)

    def since(self, start: float) -> list[tuple[float, float, str, str]]:
        """Answers to requests that began after ``start``."""
        return [answer for answer in list(self.answers) if answer[0] >= start]

    def wait_for(self, count: int, *, model: str | None = None, label: str | None = None, timeout: float = 60) -> None:
        """Wait until ``count`` requests that begin from now on were answered by ``model`` or with ``label``."""
        start = time.monotonic()
        while time.monotonic() < start + timeout:
            matching = [a for a in self.since(start) if model in (None, a[2]) and label in (None, a[3])]
            if len(matching) >= count:
                return
            time.sleep(0.05)
        raise AssertionError(
            f"no {count} answers from {model or label or 'anyone'} within {timeout} s; {self.failures[:3]}"
        )
