"""Engines wait for what is decided by what the first of them showed; a board that was killed learns it anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from deployments.backfill import board
from deployments.backfill.board import Board
from deployments.backfill.committing import Commit
from deployments.backfill.executor import Decision
from deployments.backfill.expectation import Expectation
from deployments.backfill.ledger import Run
from deployments.backfill.sinks import open_sink
from deployments.backfill.sinks.base import Stamp
from deployments.backfill.storage import Storage

pytestmark = pytest.mark.anyio


async def test_every_engine_waits_for_the_decision_by_what_the_first_showed() -> None:
    kept = Board()
    first, second = (asyncio.ensure_future(kept.show(proof)) for proof in (("first",), ("second",)))
    assert await kept.proof() == ("first",)
    writer = asyncio.ensure_future(kept.decision())
    await asyncio.sleep(0)
    assert not any(waiting.done() for waiting in (first, second, writer))
    await kept.decide(("go on",))
    assert [await first, await second, await writer, await kept.show(("late",))] == [("go on",)] * 4
    assert await kept.proof() == ("first",)


async def test_a_board_that_begins_anew_needs_the_decision_alone() -> None:
    kept = Board()
    await kept.decide(("go on",))
    assert await kept.show(("an engine that was started again",)) == ("go on",)


def test_a_decision_arrives_as_it_was_made(tmp_path: Path) -> None:
    stamp = Stamp(3, "m@1", "0" * 64, "cpu/fp32", 2, "float32", string_ids=True)
    golden = np.array([[0.6, 0.8], [1.0, 0.0]], np.float32)
    commit = Commit(open_sink(str(tmp_path / "sink")), stamp, Run(Storage(str(tmp_path / "notes"))))
    sealed = board._sealed(Decision(Expectation("0" * 64, "cpu/fp32", golden, "the first has"), commit))
    written, expected = board._commit(sealed), board._expected(sealed)
    assert (written.stamp, written.run, written.sink.uri) == (stamp, commit.run, commit.sink.uri)
    assert (expected.hash, expected.numerics, expected.whose) == ("0" * 64, "cpu/fp32", "the first has")
    assert expected.golden is not None
    assert np.array_equal(expected.golden, golden)
