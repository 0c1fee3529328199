"""Works of one call that several threads share: each takes the next, and whoever waits hears of it once, at the end.

A future for each work would wake the event loop for each: a decoder's loop took 156 µs a picture so, and 69 to 79 since (a busy
Intel machine of 2 cores, `python -m bench.null_engine`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Work = Callable[[], Any]


class _Begun(NamedTuple):
    since: float
    job: int


class SharedWorks:
    """Works, and what became of each."""

    def __init__(self, works: Sequence[Work]) -> None:
        """Begin none; needs a running event loop."""
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()  # when each has a result, or one raised
        self.results: list[Any] = [None] * len(works)
        self.error: Exception | None = None
        self._guard = threading.Lock()
        self._left = deque(enumerate(works))
        self._open = set(range(len(works)))  # without a result
        self._begun: dict[int, _Begun] = {}
        if not works:
            self.ended.set_result(None)

    def run(self, job: int) -> None:
        """In a thread: do one after another until none is left. ``job`` is its number among those that do."""
        while True:
            try:
                number, work = self._left.popleft()
            except IndexError:
                return
            with self._guard:
                self._begun[number] = _Begun(time.monotonic(), job)
            try:
                result = work()
            except Exception as error:  # whoever waits gets it
                self._finish(number, None, error)
            else:
                self._finish(number, result, None)

    def _finish(self, number: int, result: Any, error: Exception | None) -> None:
        with self._guard:
            self._begun.pop(number, None)
            if number not in self._open:  # it was given up
                return
            self._open.discard(number)
            self.results[number] = result
            self.error = self.error or error
            if self._open and error is None:
                return
        self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def oldest(self) -> float | None:
        """When the work began that is under way for longest, by ``time.monotonic``; None if none is."""
        with self._guard:
            return min((self._begun[number].since for number in self._begun.keys() & self._open), default=None)

    def give_up(self, before: float, result: Any) -> list[int]:
        """Give works that began at ``before`` or earlier a result, whatever they come to; the jobs that hang at them."""
        with self._guard:
            late = [number for number in self._begun.keys() & self._open if self._begun[number].since <= before]
            for number in late:
                self._open.discard(number)
                self.results[number] = result
            if not self._open:
                self._end()
            return [self._begun[number].job for number in late]

    def stop(self) -> None:
        """Begin no more of them."""
        self._left.clear()
