"""Writes to the shared cache, behind the answers."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from deployments.gateway.cache.redis.guard import Guard
from deployments.gateway.cache.redis.value import server_key
from deployments.observability.metrics import Counters

if TYPE_CHECKING:
    from redis.asyncio import Redis

BATCH = 128  # values in one round trip: 2 ms of this process's time


class Writes:
    """A queue of values that is written in the background and drops what does not fit."""

    def __init__(self, client: Redis, guard: Guard, count: Counters) -> None:
        """Write through a client while its guard allows it; ``count`` hears what became of each value."""
        self._client, self._guard, self._count = client, guard, count
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, key: bytes, value: bytes, *, limit: int, ttl_s: int) -> None:
        """Queue a value, unless ``limit`` values wait already or the server takes none."""
        if len(self._waiting) >= limit or self._guard.blocked():
            self._count.add(("dropped",))
            return
        self._waiting.append((server_key(key), value))
        if self._task is None:
            self._task = asyncio.ensure_future(self._run(ttl_s))
            self._task.add_done_callback(self._done)

    async def close(self) -> None:
        """Forget what has not been written."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _done(self, _: asyncio.Task[None]) -> None:
        self._task = None

    async def _run(self, ttl_s: int) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            if not self._guard.allow():
                self._count.add(("dropped",), len(batch))
                continue
            try:
                await self._write(batch, ttl_s)
            except Exception as error:  # whatever the client raises, these values are only computed once more
                self._count.add(("error",), len(batch))
                self._guard.failure(f"{type(error).__name__}: {error}")

    async def _write(self, batch: list[tuple[bytes, bytes]], ttl_s: int) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, value in batch:
            pipeline.set(key, value, ex=ttl_s)
        answers = await pipeline.execute(raise_on_error=False)
        refusals = [answer for answer in answers if isinstance(answer, Exception)]
        self._count.add(("stored",), len(batch) - len(refusals))
        self._count.add(("error",), len(refusals))
        if refusals:  # full, or a replica that only reads
            self._guard.failure(str(refusals[0]))
        else:
            self._guard.success()
