from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.config.cache import Cache
from deployments.contract.embedding import Embedding, Label
from deployments.gateway.cache.key import cache_key
from deployments.gateway.cache.tiered import TieredCache
from deployments.observability.gateway_metrics import GatewayMetrics
from models.errors import ConfigError
from tests.servers.redis_server import RedisServer

LABELS = ("m", "1")
KEY = cache_key("artifact", "text")
LABEL = Label("m@1", "artifact")
EMBEDDING = Embedding(np.arange(4, dtype=np.float32), 3, LABEL)
SHARED = {"url_env": "EMBEDSERVE_CACHE_URL", "timeout_ms": 1000}


def config(**values: Any) -> Cache:
    return Cache.model_validate({"bytes": 10_000, **values})


async def store(cache: TieredCache, server: RedisServer) -> None:
    """Put the embedding until it is there: on a busy machine the server may answer later than a write waits for it."""
    async with asyncio.timeout(60):
        while not server.client.dbsize():
            cache.put(KEY, EMBEDDING)
            await asyncio.sleep(0.05)


async def test_memory_alone_is_the_default() -> None:
    cache = TieredCache(GatewayMetrics())
    cache.configure(Cache())
    cache.put(KEY, EMBEDDING)
    assert cache.get(KEY) is not None
    assert await cache.fetch(LABELS, [KEY], LABEL, 4) == {}


async def test_what_the_shared_level_holds_is_in_memory_afterwards(server: RedisServer) -> None:
    first, second = TieredCache(GatewayMetrics()), TieredCache(GatewayMetrics())
    for cache in (first, second):
        cache.configure(config(shared=SHARED))
    await store(first, server)
    assert second.get(KEY) is None
    assert list(await second.fetch(LABELS, [KEY], LABEL, 4)) == [KEY]
    server.stop()
    kept = second.get(KEY)
    assert kept is not None
    assert kept.vector.tolist() == EMBEDDING.vector.tolist()
    for cache in (first, second):
        cache.configure(config())
        await asyncio.gather(*cache._closing)


async def test_the_shared_level_comes_goes_and_moves_while_it_is_used(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = TieredCache(GatewayMetrics())
    cache.configure(config())
    assert cache.shared is None
    cache.configure(config(shared=SHARED))
    first = cache.shared
    cache.configure(config(shared={**SHARED, "timeout_ms": 7}))
    assert cache.shared is first  # same server, same connections
    assert first is not None
    assert first._config.timeout_ms == 7
    monkeypatch.setenv("EMBEDSERVE_CACHE_URL", server.tcp_url)
    lookup = asyncio.ensure_future(cache.fetch(LABELS, [KEY], LABEL, 4))
    cache.configure(config(shared=SHARED))
    assert cache.shared is not first
    assert await lookup == {}
    await store(cache, server)
    cache.configure(config())
    assert cache.shared is None
    await asyncio.gather(*cache._closing)
    async with asyncio.timeout(60):  # the server hears of a closed connection when it gets its turn
        while server.client.info("clients")["connected_clients"] > 1:  # noqa: ASYNC110 - one is the test's
            await asyncio.sleep(0.01)


async def test_a_wrong_shared_level_changes_nothing(server: RedisServer, tmp_path: Path) -> None:
    cache = TieredCache(GatewayMetrics())
    cache.configure(config(shared=SHARED))
    before = cache.shared
    with pytest.raises(ConfigError, match="url_file"):
        cache.configure(config(bytes=1, shared={"url_file": str(tmp_path / "none")}))
    assert cache.shared is before
    assert cache.memory.limit_bytes == 10_000
    cache.configure(config())
    await asyncio.gather(*cache._closing)
