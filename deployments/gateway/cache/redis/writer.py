"""Writes to the shared cache, which no answer waits for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from deployments.gateway.cache.redis.server_health import ServerHealth
from deployments.gateway.cache.redis.stored_value import server_key
from deployments.observability.counters import Counters

if TYPE_CHECKING:
    from redis.asyncio import Redis

BATCH = 128  # values in one round trip: 2 ms of this process's time


class Writer:
    """A queue of values that is written in the background and drops what does not fit."""

    def __init__(self, client: Redis, health: ServerHealth, count: Counters) -> None:
        """Write through a client while its health allows it; ``count`` counts what became of each value."""
        self._client, self._health, self._count = client, health, count
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        self._task: asyncio.Task[None] | None = None

    def put(self, key: bytes, value: bytes, *, limit: int, ttl_s: int) -> None:
        """Queue a value; it is dropped where ``limit`` values wait already or the server is left alone."""
        if len(self._waiting) >= limit or self._health.blocked():
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
            if not self._health.allow():
                self._count.add(("dropped",), len(batch))
                continue
            try:
                await self._write(batch, ttl_s)
            except Exception as error:  # whatever the client raises, these values only have to be computed once more
                self._count.add(("error",), len(batch))
                self._health.failure(f"{type(error).__name__}: {error}")

    async def _write(self, batch: list[tuple[bytes, bytes]], ttl_s: int) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, value in batch:
            pipeline.set(key, value, ex=ttl_s)
        answers = await pipeline.execute(raise_on_error=False)
        refusals = [answer for answer in answers if isinstance(answer, Exception)]
        self._count.add(("stored",), len(batch) - len(refusals))
        self._count.add(("error",), len(refusals))
        if refusals:  # its memory is full, or it is a read-only replica
            self._health.failure(str(refusals[0]))
        else:
            self._health.success()
