"""Every way to end the service at every moment, once; `python -m tests.faults.endings` does it by tens and counts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.endings import ENDINGS, PHASES, one, place


@pytest.fixture(scope="module")
def where() -> Iterator[tuple[Path, int]]:
    """One folder and one port for all of them: each start proves the ending before it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with place() as found:
        yield found
    signal.signal(signal.SIGINT, before)


# Without waiting for Ray: these cells stay in the plain suite.
@pytest.mark.parametrize("phase", ["beginning", "starting"])
@pytest.mark.parametrize("ending", ["TERM twice, as `timeout` sends it", "KILL of the command"])
def test_a_start_that_is_ended_leaves_nothing(ending: str, phase: str, where: tuple[Path, int]) -> None:
    assert one(ending, phase, *where) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_whatever_ends_it_and_when_nothing_is_left_and_the_next_start_works(
    ending: str, phase: str, where: tuple[Path, int]
) -> None:
    assert one(ending, phase, *where) == []
