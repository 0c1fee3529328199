"""Dynamic batching: calls run together under a limit, and each gets the vectors of its own rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.contract.embedding import Label
from deployments.encoder import engine_pool
from deployments.encoder.artifact_slot import Loaded
from deployments.encoder.batching import Batcher, CallTrace, PreparedCall, Run, batch_cost
from deployments.encoder.engine_pool import EnginePool
from models.engine.types import Vectors
from models.errors import EngineError
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


class Failing:
    """An engine that fails whenever a batch holds one of some rows."""

    def __init__(self, loaded: Loaded, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[Any] = loaded.prepare(texts)
        self.works = loaded.embedder.embed_rows
        self.runs = 0
        monkeypatch.setattr(loaded.embedder, "embed_rows", self)
        monkeypatch.setattr(engine_pool, "HOLD_S", 0.01)

    def __call__(self, rows: Sequence[Any]) -> Vectors:
        self.runs += 1
        if any(np.array_equal(row, bad) for row in rows for bad in self.rows):
            raise RuntimeError("the engine fails at this input")
        return self.works(rows)


@pytest.mark.parametrize("bad", [["bad"], ["bad", "worse", "a"]], ids=["one row", "several rows"])
async def test_an_input_at_which_the_engine_fails_takes_no_vector_from_the_others(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, bad: list[str]
) -> None:
    texts = [["a", "bad", "two words"], ["good"], ["worse", *(f"text {i}" for i in range(50))], ["bad"]]
    engine = Failing(loaded, bad, monkeypatch)
    calls = [call(loaded, each) for each in texts]
    vectors = await Batcher(EnginePool(1), lambda _: None).run(calls)
    for each, prepared, found in zip(texts, calls, vectors, strict=True):
        assert {each[row] for row in prepared.failed} == set(each) & set(bad)
        good = [row for row in range(len(each)) if row not in prepared.failed]
        wanted = engine.works([prepared.rows[row] for row in good]) if good else found[good]
        np.testing.assert_allclose(found[good], wanted, atol=1e-5)
    assert engine.runs < 60


async def test_an_engine_that_no_longer_embeds_what_it_always_does_fails_the_batch(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Failing(loaded, ["a"], monkeypatch)
    engine.rows.append(loaded.embedder.probe_row())
    with pytest.raises(EngineError):
        await Batcher(EnginePool(1), lambda _: None).run([call(loaded, ["a"]), call(loaded, ["b"])])
    assert engine.runs == 2
