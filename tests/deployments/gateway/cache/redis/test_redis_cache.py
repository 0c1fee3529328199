"""Against a real server, which is stopped, paused, filled and fed with damaged values."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from deployments.config.cache import SharedCacheConfig
from deployments.contract.embedding import Embedding, Label
from deployments.gateway.cache.key import cache_key
from deployments.gateway.cache.redis.circuit_breaker import FAILURES
from deployments.gateway.cache.redis.redis_cache import RedisCache
from deployments.gateway.cache.redis.stored_value import packed, server_key
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.logging import logger
from tests.servers.redis_server import RedisServer, redis_server

LABELS = ("m", "1")
LABEL = Label("m@1", "artifact")
SIZE = 8
WAIT_S = 30
KEYS = [cache_key("artifact", f"text {i}") for i in range(600)]


def embedding(index: int) -> Embedding:
    return Embedding(np.full(SIZE, index, np.float32), index, LABEL)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


class Gateway:
    """One gateway's shared level."""

    def __init__(self, url: str, **config: Any) -> None:
        self.metrics = GatewayMetrics()
        # Long enough for a busy test machine; tests of a silent server shorten it.
        settings = SharedCacheConfig(url_env="X", **{"timeout_ms": 1000, **config})
        self.cache = RedisCache(settings, url, self.metrics)

    async def get(self, *keys: bytes) -> dict[bytes, Embedding]:
        return await self.cache.get(LABELS, keys, LABEL, SIZE)

    def lookups(self, result: str) -> float:
        return self.metrics.shared_lookups._pending[(*LABELS, result)]

    def writes(self, result: str) -> float:
        return self.metrics.shared_writes._pending[(result,)]


@pytest.fixture
async def connected() -> AsyncIterator[Callable[..., Gateway]]:
    """Makes gateways, and closes them after the test."""
    gateways: list[Gateway] = []

    def connect(url: str, **config: Any) -> Gateway:
        gateways.append(Gateway(url, **config))
        return gateways[-1]

    yield connect
    for gateway in gateways:
        await gateway.cache.close()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def until_found(gateway: Gateway, key: bytes) -> None:
    deadline = time.monotonic() + WAIT_S
    while key not in await gateway.get(key):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def until_stored(gateway: Gateway, index: int) -> None:
    """Write again and again, as traffic does, until the server takes it."""
    stored, deadline = gateway.writes("stored"), time.monotonic() + WAIT_S
    while gateway.writes("stored") == stored:
        assert time.monotonic() < deadline
        gateway.cache.put(KEYS[index], embedding(index))
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("transport", ["url", "tcp_url"], ids=["Unix socket", "TCP"])
async def test_what_one_gateway_computed_another_finds(
    server: RedisServer, connected: Callable[..., Gateway], transport: str
) -> None:
    first, second = (connected(getattr(server, transport)) for _ in range(2))
    for i in range(3):
        first.cache.put(KEYS[i], embedding(i))
    await until(lambda: first.writes("stored") == 3)
    found = await second.get(*KEYS[:4])
    assert list(found) == KEYS[:3]
    assert [one.vector.tolist() for one in found.values()] == [embedding(i).vector.tolist() for i in range(3)]
    assert [one.tokens for one in found.values()] == [0, 1, 2]
    assert (second.lookups("hit"), second.lookups("miss")) == (3, 1)


async def test_another_artifacts_vector_is_never_found(server: RedisServer, connected: Callable[..., Gateway]) -> None:
    gateway = connected(server.url)
    gateway.cache.put(cache_key("old", "text"), embedding(1))
    await until(lambda: gateway.writes("stored") == 1)
    assert await gateway.get(cache_key("new", "text")) == {}


async def test_long_lists_and_many_requests_at_once_each_get_their_own(
    server: RedisServer, connected: Callable[..., Gateway]
) -> None:
    gateway = connected(server.url)
    for i in range(0, len(KEYS), 2):
        gateway.cache.put(KEYS[i], embedding(i))
    await until(lambda: gateway.writes("stored") == len(KEYS) / 2)
    commands = server.client.info("commandstats")
    slices = [KEYS, *([key] for key in KEYS[:200])]
    answers = await asyncio.gather(*(gateway.get(*keys) for keys in slices))
    for keys, found in zip(slices, answers, strict=True):
        assert {key: found[key].tokens for key in found} == {
            key: index for index, key in enumerate(KEYS) if key in keys and index % 2 == 0
        }
    calls = server.client.info("commandstats")["cmdstat_mget"]["calls"]
    assert "cmdstat_mget" not in commands
    assert calls < 20  # 201 requests, joined while others were in flight


async def test_values_leave_after_their_time(server: RedisServer, connected: Callable[..., Gateway]) -> None:
    gateway = connected(server.url, ttl_s=1234)
    gateway.cache.put(KEYS[0], embedding(0))
    await until(lambda: gateway.writes("stored") == 1)
    assert 1200 < server.client.ttl(server_key(KEYS[0])) <= 1234


async def test_damaged_values_are_ignored_and_replaced(server: RedisServer, connected: Callable[..., Gateway]) -> None:
    gateway = connected(server.url)
    good = packed(KEYS[0], embedding(0))
    server.client.set(server_key(KEYS[0]), good[:-1])
    server.client.set(server_key(KEYS[1]), packed(KEYS[0], embedding(0)))
    server.client.set(server_key(KEYS[2]), b"x" * len(good))
    server.client.rpush(server_key(KEYS[3]), b"a list")
    assert await gateway.get(*KEYS[:4]) == {}
    assert (gateway.lookups("corrupt"), gateway.lookups("miss")) == (3, 1)
    for i in range(4):
        gateway.cache.put(KEYS[i], embedding(i))
    await until(lambda: gateway.writes("stored") == 4)
    assert list(await gateway.get(*KEYS[:4])) == KEYS[:4]


async def test_a_server_that_stops_is_left_alone_and_one_that_comes_back_is_used(
    server: RedisServer, connected: Callable[..., Gateway], said: list[str]
) -> None:
    gateway = connected(server.url)
    gateway.cache.put(KEYS[0], embedding(0))
    await until_found(gateway, KEYS[0])
    server.stop()
    for _ in range(FAILURES + 5):
        assert await gateway.get(KEYS[0]) == {}
        gateway.cache.put(KEYS[0], embedding(0))
    assert gateway.lookups("error") == FAILURES
    assert gateway.lookups("skipped") == 5
    server.start()
    await until_stored(gateway, 1)
    await until_found(gateway, KEYS[1])
    reads = [line for line in said if "reads" in line]
    assert len(reads) == 2
    assert "reads stop until it answers again" in reads[0]
    assert "reads work again" in reads[1]


async def test_a_server_that_is_silent_is_given_up_and_left_alone(
    server: RedisServer, connected: Callable[..., Gateway], said: list[str]
) -> None:
    gateway = connected(server.url, timeout_ms=100)
    gateway.cache.put(KEYS[0], embedding(0))
    await until_found(gateway, KEYS[0])
    server.pause()
    for _ in range(FAILURES):
        assert await gateway.get(KEYS[0]) == {}
    errors = gateway.lookups("error")
    assert errors >= FAILURES
    answers = await asyncio.gather(*(gateway.get(*KEYS) for _ in range(50)))
    assert answers == [{}] * 50
    assert gateway.lookups("error") == errors
    assert gateway.lookups("skipped") >= 50 * len(KEYS)
    server.resume()
    await until_found(gateway, KEYS[0])
    assert [line for line in said if "reads stop" in line][:1] == [
        f"shared cache at {server.url.removeprefix('unix://')}: reads stop until it answers again: "
        "no answer within 100 ms"
    ]


async def test_an_answer_that_comes_late_is_a_failure_though_it_comes(
    server: RedisServer, connected: Callable[..., Gateway]
) -> None:
    gateway, tasks = connected(server.url, timeout_ms=100), asyncio.all_tasks()
    gateway.cache.put(KEYS[0], embedding(0))
    await until_found(gateway, KEYS[0])
    skipped = gateway.lookups("skipped")
    for _ in range(FAILURES):
        server.client.client_pause(1500)  # much longer than this process stands still beside others
        assert await gateway.get(KEYS[0]) == {}
        await until(lambda: asyncio.all_tasks() == tasks)  # the answer has come
    assert gateway.lookups("skipped") == skipped
    await gateway.get(KEYS[0])
    assert gateway.lookups("skipped") == skipped + 1


@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)
async def test_an_answer_that_waits_for_a_busy_process_is_not_late(
    server: RedisServer, connected: Callable[..., Gateway]
) -> None:
    gateway = connected(server.url)

    gateway.cache.put(KEYS[0], embedding(0))
    await until_found(gateway, KEYS[0])
    gateway.cache.configure(SharedCacheConfig(url_env="X", timeout_ms=200))
    for _ in range(FAILURES):
        lookup = asyncio.ensure_future(gateway.get(KEYS[0]))
        await asyncio.sleep(0)
        time.sleep(0.4)  # noqa: ASYNC251 - what a large answer of another request does to the loop
        assert KEYS[0] in await lookup


async def test_a_full_server_goes_on_being_read_and_is_written_when_it_has_room(
    server: RedisServer, connected: Callable[..., Gateway], said: list[str]
) -> None:
    gateway = connected(server.url)
    gateway.cache.put(KEYS[0], embedding(0))
    await until_found(gateway, KEYS[0])
    server.fill()

    def dropped() -> bool:
        gateway.cache.put(KEYS[1], embedding(1))
        return gateway.writes("dropped") > 0

    await until(dropped)  # the breaker is open
    assert gateway.writes("error") >= FAILURES
    gateway.cache.put(KEYS[9], embedding(9))
    assert list(await gateway.get(*KEYS[:10])) == KEYS[:1]
    server.free()
    await until_stored(gateway, 9)
    assert KEYS[9] in await gateway.get(KEYS[9])
    writes = [line for line in said if "writes" in line]
    assert [
        "stop until it answers again: command not allowed when used memory" in writes[0],
        "work again" in writes[1],
        len(writes),
    ] == [True, True, 2]


async def test_writes_that_pile_up_are_dropped_and_the_queue_stays_bounded(
    server: RedisServer, connected: Callable[..., Gateway]
) -> None:
    gateway = connected(server.url, waiting_writes=10)
    server.pause()
    for i in range(50):
        gateway.cache.put(KEYS[i], embedding(i))
    assert gateway.writes("dropped") == 40
    server.resume()
    await until(lambda: gateway.writes("stored") == 10)
    assert server.client.dbsize() == 10


async def test_wrong_credentials_are_a_failure_of_the_server_and_not_of_the_request(
    server: RedisServer, connected: Callable[..., Gateway], said: list[str]
) -> None:
    server.client.config_set("requirepass", "right")
    gateway = connected(server.tcp_url.replace("//", "//:secret@"))
    for _ in range(FAILURES):
        assert await gateway.get(KEYS[0]) == {}
    gateway.cache.put(KEYS[0], embedding(0))
    await until(lambda: gateway.writes("error") == 1)
    assert gateway.lookups("error") == FAILURES
    assert any("reads stop" in line for line in said)
    assert not any("secret" in line for line in said)


async def test_a_password_that_a_server_repeats_is_not_logged(
    connected: Callable[..., Gateway], said: list[str]
) -> None:
    """One whose AUTH was renamed answers with the words that it was sent."""
    server = RedisServer()
    try:
        server.start("--rename-command", "AUTH", "")
        gateway = connected(server.tcp_url.replace("//", "//:hunter2hunter2@"))
        for _ in range(FAILURES):
            await gateway.get(KEYS[0])
        assert any("unknown command" in line and "***" in line for line in said), said
        assert "hunter2" not in " ".join(said)
    finally:
        server.remove()
