"""Dynamic batching: calls run together under a limit, and each gets the vectors of its own rows."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.contract.embedding import Label
from deployments.encoder.artifact_slot import Loaded
from deployments.encoder.batching import Batcher, CallTrace, PreparedCall, Run, batch_cost
from deployments.encoder.engine_pool import EnginePool
from tests.models.loading import embedder_of

TEXTS = ["a", "two words", "three more words", "and a text that is somewhat longer than the others"]


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load("text-embedding@1.1.0")


def load(reference: str) -> Loaded:
    embedder = embedder_of(reference)
    return Loaded(embedder, Label(reference, embedder.artifact.hash, False), embedder.preparation())


def call(loaded: Loaded, texts: list[str]) -> PreparedCall:
    rows: list[Any] = loaded.prepare(texts)
    return PreparedCall(loaded, rows, sum(map(len, rows)), time.perf_counter(), CallTrace((), None))


@given(cost=st.integers(0, 1 << 40), others=st.lists(st.integers(0, 1 << 40), min_size=1))
def test_a_call_alone_fits_under_any_limit_and_several_cost_their_sum(
    loaded: Loaded, cost: int, others: list[int]
) -> None:
    alone = PreparedCall(loaded, [], cost, 0.0, CallTrace((), None))
    more = [PreparedCall(loaded, [], other, 0.0, CallTrace((), None)) for other in others]
    assert batch_cost([alone]) == 1
    assert batch_cost([alone, *more]) == cost + sum(others)


async def test_each_call_gets_the_vectors_of_its_own_rows(loaded: Loaded) -> None:
    calls = [call(loaded, texts) for texts in (TEXTS[:1], TEXTS[1:], TEXTS)]
    runs: list[Run] = []
    vectors = await Batcher(EnginePool(1), runs.append).run(calls)
    for each, prepared in zip(vectors, calls, strict=True):
        assert each.tobytes() == loaded.embedder.embed_rows(prepared.rows).tobytes()
    (run,) = runs
    assert run.calls == calls
    assert len(run.rows) == 8


async def test_calls_that_a_swap_separates_keep_the_artifact_they_were_prepared_for(loaded: Loaded) -> None:
    newer = load("text-embedding@1.0.0")
    calls = [call(loaded, TEXTS), call(newer, TEXTS[:2]), call(loaded, TEXTS[:3])]
    runs: list[Run] = []
    vectors = await Batcher(EnginePool(1), runs.append).run(calls)
    for each, of in zip(vectors, calls, strict=True):
        assert each.tobytes() == of.loaded.embedder.embed_rows(of.rows).tobytes()
    assert [run.calls for run in runs] == [[calls[0], calls[2]], [calls[1]]]
