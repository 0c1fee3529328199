"""Reads from the shared cache: given up early, and joined into few commands under load."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from deployments.gateway.cache.redis.server_health import ServerHealth
from deployments.gateway.cache.redis.stored_value import server_key

if TYPE_CHECKING:
    from redis.asyncio import Redis

LOOKUP_KEYS = 128  # keys that share one wait; reading them takes 0.4 ms
FETCH_KEYS = 256  # keys in one MGET: a larger answer would hold up the event loop for milliseconds
FETCHES = 4  # MGETs in flight; lookups that come meanwhile share the next one
BUSY_S = 0.002  # a timer that fires later than this shows that our own process was busy, not that the server is slow
WAITS = 4  # of one lookup at most: it waits anew while our own process was busy

Values = list[bytes | None]


@dataclass(slots=True, eq=False)
class _Lookup:
    """Keys that one request waits for."""

    keys: Sequence[bytes]
    values: asyncio.Future[Values | None]  # None: the server did not answer; cancelled: nobody waits any longer


class Reader:
    """Sends a request's keys as one MGET, together with those of requests that came while all MGETs were in flight."""

    def __init__(self, client: Redis, health: ServerHealth) -> None:
        """Read through a client; ``health`` is told of every answer and failure."""
        self._client, self._health = client, health
        self._waiting: deque[_Lookup] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, keys: Sequence[bytes], timeout_s: float) -> Values | None:
        """Values of at most ``LOOKUP_KEYS`` keys in order; None when the server does not answer in time."""
        lookup = _Lookup(keys, asyncio.get_running_loop().create_future())
        self._waiting.append(lookup)
        self._pump()
        try:
            if await _in_time(lookup.values, timeout_s):
                return lookup.values.result()
        finally:
            lookup.values.cancel()
        self._health.failure(f"no answer within {timeout_s * 1000:g} ms")
        return None

    async def close(self) -> None:
        """Give up what is in flight."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pump(self) -> None:
        while len(self._tasks) < FETCHES:
            lookups = self._take()
            if not lookups:
                return
            task = asyncio.ensure_future(self._fetch(lookups))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._pump()

    def _take(self) -> list[_Lookup]:
        """The lookups that somebody still waits for, as many as fit into one command."""
        taken: list[_Lookup] = []
        room = FETCH_KEYS
        while self._waiting and len(self._waiting[0].keys) <= room:
            lookup = self._waiting.popleft()
            if not lookup.values.done():
                taken.append(lookup)
                room -= len(lookup.keys)
        return taken

    async def _fetch(self, lookups: list[_Lookup]) -> None:
        values: Values = []
        try:
            names = [server_key(key) for lookup in lookups for key in lookup.keys]
            values = cast(Values, await self._client.mget(names))
        except Exception as error:  # whatever the client raises, requests go on without the shared cache
            if not any(lookup.values.done() for lookup in lookups):
                self._health.failure(f"{type(error).__name__}: {error}")
        else:
            if not any(lookup.values.done() for lookup in lookups):  # an answer that came too late is no success
                self._health.success()
        start = 0
        for lookup in lookups:
            if not lookup.values.done():
                lookup.values.set_result(values[start : start + len(lookup.keys)] or None)
            start += len(lookup.keys)


async def _in_time(answer: asyncio.Future[Values | None], timeout_s: float) -> bool:
    """Wait for an answer, and wait anew where this process itself was too busy to notice one."""
    for _ in range(WAITS):
        due = time.monotonic() + timeout_s
        await asyncio.wait([answer], timeout=timeout_s)
        if answer.done() or time.monotonic() - due < BUSY_S:
            break
    return answer.done()
