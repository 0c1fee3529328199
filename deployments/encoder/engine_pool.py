"""The threads that an engine runs on: a few runs at a time, none waited for longer than its deadline."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from deployments.autoscaling.busy_pool import BusyPool
from deployments.observability.logging import logger
from models.errors import EmbedserveError, UnavailableError

HOLD_S = 1.0  # routers prefer the shortest queue: a replica that failed at once would draw all calls to itself
P = ParamSpec("P")
T = TypeVar("T")


class EnginePool:
    """Runs an engine and remembers when it last came back with a result.

    A run that does not come back cannot be ended, only its process can: whoever waits for it, or comes after it, is
    told at once, so that their work goes to another replica while Serve replaces this one.
    """

    def __init__(self, runs: int, timeout_s: float = math.inf) -> None:
        """Allow ``runs`` at a time; ``timeout_s`` is how long one may take."""
        self.timeout_s = timeout_s
        self.proved_at = -math.inf  # monotonic seconds of the last run that came out right
        self._pool = BusyPool(runs, "engine", together=True)  # one run already uses every core
        self._turns = asyncio.Semaphore(runs)
        self._stuck: set[Future[Any]] = set()

    def busy(self) -> float:
        """The part of the time since the last question that any thread worked, 0 to 1."""
        return self._pool.busy()

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in a thread when it is its turn.

        Raises:
            UnavailableError: it raised what it should not, or it, or one before it, does not come back.
            EmbedserveError: as the function raises on purpose.
        """
        try:
            async with self._turns:
                return await self._run(partial(work, *args, **kwargs))
        except UnavailableError:
            await asyncio.sleep(HOLD_S)
            raise

    async def _run(self, work: Callable[[], T]) -> T:
        self._stuck = {future for future in self._stuck if not future.done()}
        if self._stuck:
            raise UnavailableError(f"the engine has not answered for more than {self.timeout_s:g} s")
        future = self._pool.submit(work)
        try:
            async with asyncio.timeout(self.timeout_s if math.isfinite(self.timeout_s) else None):
                result = await asyncio.wrap_future(future)
        except TimeoutError as error:
            self._stuck.add(future)
            self.proved_at = -math.inf
            raise UnavailableError(f"the engine did not answer within {self.timeout_s:g} s") from error
        except EmbedserveError:
            self.proved_at = -math.inf
            raise
        except Exception as error:  # the next check of health proves the engine anew and does not trust the past
            self.proved_at = -math.inf
            logger.error("the engine failed", exc_info=error)
            raise UnavailableError("the engine failed") from error
        if not self._stuck:
            self.proved_at = time.monotonic()
        return result
