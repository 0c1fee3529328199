"""What a person reads of a backfill that goes on."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from deployments.backfill.ledger import BadRow, Block
from deployments.cli import backfill_progress
from deployments.cli.backfill_progress import Follower

BAD = BadRow(id="p1", file="a.parquet", row=1, code="empty_input", reason="the value is empty")


@pytest.fixture
def ten_seconds_later(monkeypatch: pytest.MonkeyPatch) -> Follower:
    """A job of 100 rows that may have 64 engines, ten seconds after its first block began."""
    clock = SimpleNamespace(monotonic=lambda: 0.0)
    monkeypatch.setattr(backfill_progress, "time", clock)
    follower = Follower(Console(file=io.StringIO()))
    follower.begin(100, 20, 0, 64)
    clock.monotonic = lambda: 10.0
    return follower


def test_engines_are_as_busy_as_those_that_compute_and_not_as_all_that_may(ten_seconds_later: Follower) -> None:
    ten_seconds_later.note(Block(number=0, rows=19, bad=(BAD,), engine_s=6.0), 1)
    ten_seconds_later.note(Block(number=1, rows=20, engine_s=8.0), 2)
    assert ten_seconds_later.line() == "4.0 rows/s, 0:10 left, 1 bad, engines 70% busy"


def test_engines_of_a_service_are_not_said_to_be_idle(ten_seconds_later: Follower) -> None:
    ten_seconds_later.note(Block(number=0, rows=40), 1)
    assert ten_seconds_later.line() == "4.0 rows/s, 0:10 left, 0 bad"


def test_a_terminal_of_80_columns_shows_every_number_of_a_job_of_millions() -> None:
    screen = io.StringIO()
    follower = Follower(Console(file=screen, force_terminal=True, width=80))
    follower.begin(10_000_000, 1_234_000, 0, 4)
    follower.note(Block(number=0, rows=1023, bad=(BAD,), engine_s=0.001), 4)
    follower.close()
    shown = screen.getvalue()
    assert "1235024/10000000" in shown
    assert re.search(
        r"\d+ rows/s, [\d:]+ left, 1 bad, engines \d+% busy 0:00:00", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    )
