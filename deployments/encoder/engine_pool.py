"""The threads that an engine runs on: a few runs at a time, each with a deadline."""

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
from models.engine.card_trouble import CardError, Trouble
from models.errors import EmbedserveError, EngineError, EngineTimeoutError, UnavailableError

HOLD_S = 1.0  # before a failure is told: routers prefer the shortest queue, and a replica that fails at once would get all calls
P = ParamSpec("P")
T = TypeVar("T")


class EnginePool:
    """Runs an engine and remembers when it last came back with a result.

    A run that does not come back can only be ended together with its process. Whoever waits for it, or comes after it, gets
    an error, so that their work goes to another replica while Serve replaces this one.
    """

    def __init__(self, runs: int, timeout_s: float = math.inf, *, begin: Callable[[], None] | None = None) -> None:
        """Allow ``runs`` at a time, each for ``timeout_s`` seconds; each thread calls ``begin`` first."""
        self.timeout_s = timeout_s
        self.proved_at = -math.inf  # monotonic seconds when the last run succeeded
        self.trouble: Trouble | None = None  # the last of a card, since the artifact serves
        self._pool = BusyPool(runs, "engine", together=True, begin=begin)  # one run already uses every core
        self._turns = asyncio.Semaphore(runs)
        self._runs = runs
        self._clearing = asyncio.Lock()  # held by whoever gathers all turns
        self._stuck: set[Future[Any]] = set()

    def busy(self) -> float:
        """The share of the time since the last call in which any thread worked, 0 to 1."""
        return self._pool.busy()

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in a thread when it is its turn.

        Raises:
            EngineError: it failed unexpectedly; CardError, where the card did.
            EngineTimeoutError: it does not come back.
            UnavailableError: an earlier run does not.
            EmbedserveError: raised by the function itself.
        """
        try:
            return await self.attempt(work, *args, **kwargs)
        except UnavailableError:
            await self.hold()
            raise

    async def hold(self) -> None:
        """Let time pass before a failure is told."""
        await asyncio.sleep(HOLD_S)

    async def attempt(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``run``, for whoever goes on after a failure, which is told at once."""
        async with self._turns:
            return await self._run(partial(work, *args, **kwargs))

    async def attempt_alone(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``attempt``, while nothing else runs: what does not come back then is at fault itself."""
        taken = 0
        try:
            async with self._clearing:
                while taken < self._runs:
                    await self._turns.acquire()
                    taken += 1
            return await self._run(partial(work, *args, **kwargs))
        finally:
            for _ in range(taken):
                self._turns.release()

    def check(self) -> None:
        """Require that every run came back in time.

        Raises:
            UnavailableError: one did not, and has not yet.
        """
        self._stuck = {future for future in self._stuck if not future.done()}
        if self._stuck:
            raise UnavailableError(f"the engine has not answered for more than {self.timeout_s:g} s")

    async def _run(self, work: Callable[[], T]) -> T:
        self.check()
        future = self._pool.submit(work)
        try:
            async with asyncio.timeout(self.timeout_s if math.isfinite(self.timeout_s) else None):
                result = await asyncio.wrap_future(future)
        except TimeoutError as error:
            self._stuck.add(future)
            self.proved_at = -math.inf
            raise EngineTimeoutError(f"the engine did not answer within {self.timeout_s:g} s") from error
        except EmbedserveError as error:
            self.proved_at = -math.inf
            why = error if isinstance(error, CardError) else error.__cause__
            if isinstance(why, CardError):
                self.trouble = why.trouble
                logger.error("the card failed: %s", why)
            raise
        except Exception as error:  # the next check of health proves the engine anew and does not trust the past
            self.proved_at = -math.inf
            logger.error("the engine failed", exc_info=error)
            raise EngineError("the engine failed") from error
        if not self._stuck:
            self.proved_at = time.monotonic()
        return result
