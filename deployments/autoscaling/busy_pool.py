"""How busy the threads of a replica are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class BusyPool(ThreadPoolExecutor):
    """A thread pool that measures its own utilisation."""

    def __init__(
        self,
        threads: int,
        name: str,
        clock: Callable[[], float] = time.perf_counter,
        *,
        together: bool = False,
        begin: Callable[[], None] | None = None,
    ) -> None:
        """Make a pool of threads.

        Args:
            threads: how many.
            name: what they are called.
            clock: tells seconds.
            together: one job already uses everything that the threads share, such as all cores: while any job runs, the
                pool counts as fully busy.
            begin: called by each thread first.
        """
        super().__init__(threads, thread_name_prefix=name, initializer=begin)
        self._together = together
        self._since = 0.0  # with `together`: when the running jobs began, or were last counted
        self._clock = clock
        self._guard = threading.Lock()
        self._busy_s = 0.0
        self._running: dict[int, float] = {}  # thread: when its job began, or was last counted
        self._counted_at = clock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread and count the time that it takes."""
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
        """Utilisation since the last call, 0 to 1, with the jobs that still run."""
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
