"""The threads that prepare items: one that does not come back is given up, makes its replica unhealthy, and is tried nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from deployments.autoscaling.busy_pool import BusyPool
from deployments.contract.items import Item
from deployments.encoder.shared_works import SharedWorks, Work
from models.errors import LimitError, UnavailableError
from models.modalities.base import Prepared

STUCK_S = 30.0  # three times the processor time after which a decoding ends itself, on a machine that is busy

NONE_LEFT = "no thread is left that prepares inputs; this replica is about to be replaced"


class PreparePool(BusyPool):
    """Prepares items in threads, none of which is waited for longer than ``stuck_s`` seconds after it began.

    A decoding ends itself when it has taken its time, and what would take long is refused before. A thread that hangs all
    the same cannot be ended, only its process can: it makes the health check fail, and Serve replaces the replica.
    """

    def __init__(self, threads: int, name: str, stuck_s: float = STUCK_S) -> None:
        """Make a pool of ``threads`` that are called ``name``."""
        super().__init__(threads, name)
        self._count = threads
        self._stuck_s = stuck_s
        self._stuck: set[Future[Any]] = set()

    async def prepare(
        self, prepare: Callable[[Sequence[Item]], list[Prepared]], items: Sequence[Item]
    ) -> list[Prepared]:
        """Prepare items in one thread, when it is their turn.

        Returns:
            For each item its row, or why there is none: also that it took too long.

        Raises:
            UnavailableError: every thread hangs.
        """
        if len(self._hanging()) >= self._count:
            raise UnavailableError(NONE_LEFT)
        began: list[float] = []

        def work() -> list[Prepared]:
            began.append(time.monotonic())
            return prepare(items)

        future = self.submit(work)
        result = asyncio.wrap_future(future)
        while True:
            left = self._stuck_s - (time.monotonic() - began[0] if began else 0)
            if left <= 0:
                self._stuck.add(future)
                return [_given_up(self._stuck_s) for _ in items]
            try:
                return await asyncio.wait_for(asyncio.shield(result), left)
            except TimeoutError:
                if not began and len(self._hanging()) >= self._count:
                    result.cancel()
                    raise UnavailableError(NONE_LEFT) from None
            except asyncio.CancelledError:
                result.cancel()
                raise

    async def prepare_apart(self, works: Sequence[Work]) -> list[Any]:
        """Do each work in any thread, when it is its turn; one that hangs keeps none of the others.

        Args:
            works: each prepares one item.

        Returns:
            What each returned, or that it took too long.

        Raises:
            UnavailableError: every thread hangs.
        """
        if len(self._hanging()) >= self._count:
            raise UnavailableError(NONE_LEFT)
        shared = SharedWorks(works)
        jobs = [self.submit(shared.run, number) for number in range(min(self._count, len(works)))]
        try:
            while not shared.ended.done():
                oldest, now = shared.oldest(), time.monotonic()
                if oldest is not None and now - oldest >= self._stuck_s:
                    for job in shared.give_up(now - self._stuck_s, _given_up(self._stuck_s)):
                        self._stuck.add(jobs[job])
                        jobs.append(self.submit(shared.run, len(jobs)))  # for what that one would have done
                    continue
                await asyncio.wait((shared.ended,), timeout=self._stuck_s - (0 if oldest is None else now - oldest))
                if shared.oldest() is None and not shared.ended.done() and len(self._hanging()) >= self._count:
                    raise UnavailableError(NONE_LEFT)
        finally:
            shared.stop()
        if shared.error is not None:
            raise shared.error
        return shared.results

    def check(self) -> None:
        """Say whether all threads come back.

        Raises:
            UnavailableError: one does not.
        """
        if hanging := self._hanging():
            raise UnavailableError(f"{len(hanging)} inputs have been prepared for more than {self._stuck_s:g} s")

    def _hanging(self) -> set[Future[Any]]:
        self._stuck = {future for future in self._stuck if not future.done()}
        return self._stuck


def _given_up(seconds: float) -> LimitError:
    return LimitError(f"preparing this input takes longer than {seconds:g} s; it was given up", code="too_slow")
