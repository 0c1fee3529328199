"""Engines wait for what is decided by what the first of them showed; a board that was killed learns it anew."""

from __future__ import annotations

import asyncio

import pytest

from deployments.backfill.board import Board

pytestmark = pytest.mark.anyio


async def test_every_engine_waits_for_the_decision_by_what_the_first_showed() -> None:
    board = Board()
    first, second = (asyncio.ensure_future(board.show(proof)) for proof in (("first",), ("second",)))
    assert await board.proof() == ("first",)
    writer = asyncio.ensure_future(board.decision())
    await asyncio.sleep(0)
    assert not any(waiting.done() for waiting in (first, second, writer))
    await board.decide(("go on",))
    assert [await first, await second, await writer, await board.show(("late",))] == [("go on",)] * 4
    assert await board.proof() == ("first",)


async def test_a_board_that_begins_anew_needs_the_decision_alone() -> None:
    board = Board()
    await board.decide(("go on",))
    assert await board.show(("an engine that was started again",)) == ("go on",)
