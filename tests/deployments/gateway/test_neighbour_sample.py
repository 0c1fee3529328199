"""The bounded sample of vectors that shadow copies leave in a gateway, and what is reported of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import numpy as np
import pytest

from deployments.config.gateway import GatewayConfig
from deployments.contract.embedding import Embedding, Label
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.gateway import neighbour_gauges
from deployments.gateway.batch import Batch
from deployments.gateway.embed_request import EmbedRequest
from deployments.gateway.embedding_service import EmbeddingService
from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.neighbour_sample import AGE_S, INPUTS, Answer, NeighbourSample
from deployments.observability.gateway_metrics import GatewayMetrics

SIZES = {"1": 8, "2": 6, "3": 8}


def vector_of(text: str, version: str) -> np.ndarray:
    return np.random.default_rng([len(text), *text.encode(), int(version)]).normal(size=SIZES[version]).astype("f4")


def add(
    sample: NeighbourSample, texts: Iterable[str], copy: str = "2", answered: str = "1", now: float = 0.0,
    hashes: tuple[str, str] = ("copy", "answer"),
) -> None:  # fmt: skip
    for text in texts:
        answer = Answer(answered, hashes[1], [text], vector_of(text, answered)[np.newaxis])
        embedding = Embedding(vector_of(text, copy), 1, Label(f"m@{copy}", hashes[0]))
        sample.add("m", copy, answer, {0: embedding}, now)


def count(sample: NeighbourSample, now: float = 0.0) -> dict[tuple[str, str, str], int]:
    return {pair: len(ours) for pair, (ours, _) in sample.pairs(now).items()}


def test_ten_times_as_many_inputs_as_it_holds_leave_it_full_and_as_large() -> None:
    sample = NeighbourSample()
    add(sample, (f"text {i}" for i in range(10 * INPUTS)))
    ((ours, theirs),) = sample.pairs(0.0).values()
    assert (len(ours), len(theirs)) == (INPUTS, INPUTS)
    assert all(one.base is None for one in (*ours, *theirs)), "a view would hold a whole batch"


def test_an_input_that_comes_again_and_again_is_kept_once() -> None:
    sample = NeighbourSample()
    add(sample, ["the same"] * 100)
    assert count(sample) == {("m", "2", "1"): 1}


def test_the_sample_is_no_matter_of_who_came_first() -> None:
    sample = NeighbourSample()
    texts = [f"text {i}" for i in range(4 * INPUTS)]
    add(sample, texts)
    first = {tuple(one) for one in sample.pairs(0.0)["m", "2", "1"][0]}
    early = {tuple(vector_of(text, "2")) for text in texts[: 2 * INPUTS]}
    assert 0.3 * INPUTS < len(first & early) < 0.7 * INPUTS  # half, give or take seven standard deviations


def test_two_versions_that_get_copies_can_be_compared_with_each_other() -> None:
    sample = NeighbourSample()
    texts = [f"text {i}" for i in range(3 * INPUTS)]
    add(sample, texts, "2")
    add(sample, texts[: 2 * INPUTS], "3")
    counts = count(sample)
    assert (counts["m", "2", "1"], counts["m", "3", "1"]) == (INPUTS, INPUTS)
    assert 0.5 * INPUTS < counts["m", "2", "3"] < 0.8 * INPUTS
    ours, theirs = sample.pairs(0.0)["m", "2", "3"]
    pairs = {(tuple(vector_of(text, "2")), tuple(vector_of(text, "3"))) for text in texts}
    assert {(tuple(a), tuple(b)) for a, b in zip(ours, theirs, strict=True)} <= pairs


def test_another_artifact_of_either_version_ends_what_was_kept_of_it() -> None:
    sample = NeighbourSample()
    add(sample, ["a", "b"])
    add(sample, ["c"], hashes=("copy", "another answer"))
    assert count(sample) == {("m", "2", "1"): 1}
    add(sample, ["d"], hashes=("another copy", "another answer"))
    assert count(sample) == {("m", "2", "1"): 1}


def test_what_is_old_goes_and_so_do_versions_that_are_no_longer_served() -> None:
    sample = NeighbourSample()
    add(sample, ["a"], now=0.0)
    add(sample, ["b"], now=AGE_S)
    assert count(sample, AGE_S + 1) == {("m", "2", "1"): 1}
    sample.keep(["m@1"])
    assert count(sample, AGE_S + 1) == {}


async def test_requests_with_shadow_copies_end_in_gauges_of_both_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour_gauges, "COMPARE_S", 0)
    shadows = {"2": 100, "3": 100}
    document = {"models": {"m": {"type": "text", "versions": {"1": 1, "2": 0, "3": 0}, "shadow": shadows}}}
    registry, metrics = ModelRegistry(), GatewayMetrics()
    registry.configure(GatewayConfig.model_validate(document))
    embeddings = EmbeddingService(registry, metrics)
    for version in registry.versions.values():
        label = Label(version.reference, f"hash of {version.version}")

        async def encode(batch: Batch, version: str = version.version, label: Label = label) -> EncodeReply:
            vectors = np.stack([vector_of(str(item), "1" if version == "3" else version) for item in batch.items])
            return EncodeReply(label, vectors, [1] * len(batch.rows))

        version.info = ModelInfo(label, "m", "text", SIZES[version.version], "fp32", "CPU")
        version.queue._send = encode
    told: dict[tuple[str, ...], float] = {}
    for gauge in (metrics.neighbour_overlap, metrics.neighbour_inputs, metrics.rank_correlation):
        name = gauge.info["name"].removeprefix("embedserve_")
        monkeypatch.setattr(
            gauge, "set", lambda value, tags, name=name: told.__setitem__((name, *tags.values()), value)
        )
    async with asyncio.timeout(60):
        turn = 0
        while not any(key[0] == "neighbour_overlap" for key in told):
            await embeddings.embed(EmbedRequest("m", [f"{turn} {i}" for i in range(16)]))
            turn += 1
            await asyncio.sleep(0.02)
            await embeddings.report()
    assert told["neighbour_overlap", "m", "3", "1", "mean"] == 1
    assert told["rank_correlation", "m", "3", "1", "low"] == 1
    assert told["neighbour_overlap", "m", "2", "1", "high"] < 0.6
    inputs = [value for key, value in told.items() if key[:4] == ("neighbour_inputs", "m", "2", "3")]
    assert len(inputs) == 11
    assert sum(inputs) >= neighbour_gauges.REPORTED
