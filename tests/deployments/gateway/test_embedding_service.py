"""Requests through both levels of the cache, over a real server; encoders are functions that count."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from deployments.config.cache import SharedCacheConfig
from deployments.config.gateway import GatewayConfig
from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, Stages
from deployments.gateway.batch import Batch
from deployments.gateway.embedding_service import EmbeddingService, EmbedRequest
from deployments.gateway.model_registry import ModelRegistry
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.request_record import RECORD, Record
from tests.servers.redis_server import RedisServer

SIZE = 4


class Gateway:
    """A gateway without HTTP and Ray; ``computed`` holds what its encoder was asked for."""

    def __init__(self, hash_: str = "h1") -> None:
        cache = {"bytes": 100_000, "shared": {"url_env": "EMBEDSERVE_CACHE_URL", "timeout_ms": 1000}}
        document = {"models": {"m": {"type": "text", "versions": {"1": 1}}}, "cache": cache}
        registry = ModelRegistry()
        registry.configure(GatewayConfig.model_validate(document))
        self.computed: list[Item] = []
        self.hash = hash_
        self.version = registry.versions["m@1"]
        self.version.info = ModelInfo(self.label, "m", "text", SIZE, "fp32", "CPU")
        self.version.queue._send = self.encode
        self.embeddings = EmbeddingService(registry, GatewayMetrics())
        self.embeddings.cache.configure(registry.config.cache)

    @property
    def label(self) -> Label:
        return Label("m@1", self.hash)

    async def encode(self, batch: Batch) -> EncodeReply:
        items = batch.items
        self.computed += items
        await asyncio.sleep(0)
        vectors = np.array([[len(self.hash), *map(len, [item, item, item])] for item in items], np.float32)
        return EncodeReply(self.label, vectors, [len(item) for item in items])

    async def embed(self, *texts: str) -> tuple[str, list[list[float]], int]:
        result = await self.embeddings.embed(EmbedRequest("m", texts))
        assert result.label == self.label
        return result.cache, result.vectors.tolist(), result.tokens


async def until_stored(server: RedisServer, count: int) -> None:
    async with asyncio.timeout(60):
        while server.client.dbsize() != count:  # noqa: ASYNC110 - another process has no event to wait for
            await asyncio.sleep(0.01)


async def test_what_one_gateway_computed_another_answers_without_its_encoder(server: RedisServer) -> None:
    first, second = Gateway(), Gateway()
    state, vectors, tokens = await first.embed("a", "bb", "a")
    assert state == "miss"
    await until_stored(server, 2)
    assert await second.embed("a", "bb", "a") == ("hit", vectors, tokens)
    assert second.computed == []
    assert await second.embed("a", "ccc") == ("partial", [vectors[0], [2, 3, 3, 3]], 4)
    assert second.computed == ["ccc"]
    assert second.embeddings.metrics.lookups._pending == {("m", "1", "hit"): 4, ("m", "1", "miss"): 1}


async def test_another_artifact_finds_nothing_of_the_old_one(server: RedisServer) -> None:
    await Gateway("old").embed("a")
    await until_stored(server, 1)
    new = Gateway("newer")
    assert await new.embed("a") == ("miss", [[5, 1, 1, 1]], 1)


async def test_equal_inputs_at_once_are_looked_up_once_and_computed_once(server: RedisServer) -> None:
    gateway = Gateway()
    answers = await asyncio.gather(*(gateway.embed("a", "bb") for _ in range(20)))
    assert gateway.computed == ["a", "bb"]
    assert {str(vectors) for _, vectors, _ in answers} == {str(answers[0][1])}
    assert gateway.embeddings.metrics.shared_lookups._pending == {("m", "1", "miss"): 2}


async def test_a_request_whose_client_goes_during_the_lookup_leaves_the_others_their_answer(
    server: RedisServer,
) -> None:
    gateway = Gateway()
    await gateway.embed("warm")
    server.pause()
    leader = asyncio.ensure_future(gateway.embed("a"))
    await asyncio.sleep(0)
    follower = asyncio.ensure_future(gateway.embed("a"))
    await asyncio.sleep(0)
    leader.cancel()
    server.resume()
    assert (await follower)[1] == [[2, 1, 1, 1]]
    assert (await gateway.embed("b"))[1] == [[2, 1, 1, 1]]


@pytest.mark.parametrize("trouble", ["stop", "pause", "fill"], ids=["down", "silent", "full"])
async def test_requests_are_answered_whatever_happens_to_the_server(server: RedisServer, trouble: str) -> None:
    gateway = Gateway()
    shared = gateway.embeddings.cache.shared
    assert shared is not None
    shared.configure(SharedCacheConfig(url_env="EMBEDSERVE_CACHE_URL", timeout_ms=5))
    await gateway.embed("warm")
    getattr(server, trouble)()
    answers = await asyncio.gather(*(gateway.embed(f"text {i % 40}") for i in range(200)))
    assert {tuple(vectors[0]) for _, vectors, _ in answers} == {(2, 6, 6, 6), (2, 7, 7, 7)}
    assert len(gateway.computed) == 41


async def test_a_version_that_serves_the_artifact_of_another_answers_from_its_vectors_under_its_own_name() -> None:
    document = {"models": {"m": {"type": "text", "versions": {"1": 1, "2": 1}}}}
    registry = ModelRegistry()
    registry.configure(GatewayConfig.model_validate(document))
    embeddings = EmbeddingService(registry, GatewayMetrics())
    embeddings.cache.configure(registry.config.cache)
    computed: list[Item] = []

    async def encode(batch: Batch) -> EncodeReply:
        computed.extend(batch.items)
        return EncodeReply(Label("m@1", "h"), np.ones((len(batch.rows), SIZE), np.float32), [1] * len(batch.rows))

    for version in registry.versions.values():
        version.info = ModelInfo(Label(version.reference, "h"), "m", "text", SIZE, "fp32", "CPU")
    registry.versions["m@1"].queue._send = encode
    answers = [await embeddings.embed(EmbedRequest(name, ["a"])) for name in ("m@1", "m@2")]
    assert [(answer.label, answer.cache) for answer in answers] == [
        (Label("m@1", "h"), "miss"),
        (Label("m@2", "h"), "hit"),
    ]
    assert computed == ["a"]


async def test_a_copy_for_a_shadow_counts_nothing_into_the_request_that_it_is_a_copy_of() -> None:
    document = {"models": {"m": {"type": "text", "versions": {"1": 1, "2": 0}, "shadow": {"2": 100}}}}
    registry = ModelRegistry()
    registry.configure(GatewayConfig.model_validate(document))
    embeddings = EmbeddingService(registry, GatewayMetrics())
    copied = asyncio.Event()

    async def encode(batch: Batch) -> EncodeReply:
        return EncodeReply(Label("m@1", "h"), np.ones((len(batch.rows), SIZE), np.float32), [1] * len(batch.rows))

    async def encode_copy(batch: Batch) -> EncodeReply:
        assert RECORD.get() is None
        copied.set()
        vectors = np.ones((len(batch.rows), SIZE), np.float32)
        return EncodeReply(Label("m@2", "i"), vectors, [1] * len(batch.rows), stages=Stages(inference_s=1000))

    for version, send in zip(registry.versions.values(), (encode, encode_copy), strict=True):
        version.info = ModelInfo(Label(version.reference, "h"), "m", "text", SIZE, "fp32", "CPU")
        version.queue._send = send
    RECORD.set(record := Record())
    await embeddings.embed(EmbedRequest("m", ["a"]))
    await asyncio.wait_for(copied.wait(), 60)
    await asyncio.sleep(0.01)
    RECORD.set(None)
    assert record.inference_s == 0
