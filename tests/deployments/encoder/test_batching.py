"""Dynamic batching: calls run together under a limit, and each gets the vectors of its own rows."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.contract.embedding import Label
from deployments.encoder import engine_pool
from deployments.encoder.batching import Batcher, CallTrace, PreparedCall, Run, batch_cost
from deployments.encoder.engine_pool import EnginePool
from deployments.encoder.loaded import Loaded
from models.engine.types import Vectors
from models.errors import EngineError, EngineTimeoutError, UnavailableError
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


@pytest.fixture
def hanging(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loaded]:
    """Its engine comes back from no text but one."""
    monkeypatch.setattr(engine_pool, "HOLD_S", 0.01)
    end, works, fine = threading.Event(), loaded.embedder.embed_rows, loaded.prepare(["fine"])[0]

    def embed_rows(rows: Sequence[Any]) -> Any:
        return works(rows) if all(np.array_equal(row, fine) for row in rows) else end.wait()

    monkeypatch.setattr(loaded.embedder, "embed_rows", embed_rows)
    yield loaded
    end.set()


async def test_an_input_that_the_engine_hangs_at_alone_is_given_up(hanging: Loaded) -> None:
    one = replace(call(hanging, ["a"]), alone=True)
    vectors = await Batcher(EnginePool(2, 0.05), lambda _: None).run([one])
    assert vectors[0].shape == (1, hanging.embedder.artifact.spec.dimensions)
    assert {row: (why.code, why.limit) for row, why in one.failed.items()} == {0: ("too_slow", True)}


@pytest.mark.parametrize("texts", [["a"], ["a", "b"]], ids=["another run may be why", "another row may be why"])
async def test_in_company_nobody_knows_which_input_the_engine_hangs_at(hanging: Loaded, texts: list[str]) -> None:
    with pytest.raises(EngineTimeoutError, match="did not answer within"):
        await Batcher(EnginePool(2, 0.05), lambda _: None).run([call(hanging, [text]) for text in texts])


async def test_what_runs_alone_begins_when_nothing_else_runs_and_nothing_begins_beside_it(hanging: Loaded) -> None:
    """So that those behind it are refused, and not blamed."""
    engine = EnginePool(2, 0.2)
    batcher = Batcher(engine, lambda _: None)
    first = asyncio.ensure_future(batcher.run([replace(call(hanging, ["a"]), alone=True)]))
    await asyncio.sleep(0.05)
    behind = [replace(call(hanging, ["fine"]), alone=True), call(hanging, ["fine"])]
    outcomes = await asyncio.gather(first, *(batcher.run([one]) for one in behind), return_exceptions=True)
    assert isinstance(outcomes[0], list)
    assert [type(outcome) for outcome in outcomes[1:]] == [UnavailableError, UnavailableError]
    assert [one.failed for one in behind] == [{}, {}]


def test_a_call_that_must_run_alone_fits_with_no_other(loaded: Loaded) -> None:
    usual, alone = call(loaded, ["a"]), replace(call(loaded, ["b"]), alone=True)
    assert batch_cost([alone]) == batch_cost([usual]) == 1
    assert batch_cost([usual, usual]) < 2048 < min(batch_cost([usual, alone]), batch_cost([alone, alone]))


async def test_bulk_runs_by_itself_on_an_engine_of_its_own_and_keeps_its_bits(loaded: Loaded) -> None:
    used = {name: EnginePool(1) for name in ("engine", "behind")}
    batcher = Batcher(used["engine"], lambda _: None, used["behind"])
    prepared = call(loaded, TEXTS)
    found = await batcher.embed_behind(prepared)
    assert found.tobytes() == loaded.embedder.embed_rows(prepared.rows).tobytes()
    assert used["engine"].proved_at < 0 < used["behind"].proved_at


async def test_others_are_answered_while_bulk_hangs_and_the_replica_counts_as_ill(hanging: Loaded) -> None:
    behind = EnginePool(1, 0.05)
    batcher = Batcher(EnginePool(1, 30), lambda _: None, behind)
    behind.check()
    with pytest.raises(EngineTimeoutError):
        await batcher.embed_behind(call(hanging, ["a", "b"]))
    assert (await batcher.run([call(hanging, ["fine"])]))[0].shape[0] == 1
    with pytest.raises(UnavailableError, match="has not answered"):
        behind.check()
