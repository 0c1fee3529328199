"""How a batch is cut into runs: nothing lost, nothing too large, nothing that waits for the longest for no gain."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.runs import BATCH_TOKENS, TOKENS_PER_RUN, WASTE, RunLimits, padding, run_parts, runs_of

LENGTHS = st.lists(st.integers(1, 600), max_size=200)
LIMITS = st.builds(
    RunLimits,
    tokens=st.integers(1, 2 * BATCH_TOKENS),
    threads=st.integers(1, 8),
    by_input=st.booleans(),
    whole=st.booleans(),
)


def padded(run: list[int], lengths: list[int]) -> int:
    """Tokens that a run computes."""
    return len(run) * max(lengths[index] for index in run)


@given(lengths=LENGTHS, limits=LIMITS)
def test_every_row_is_in_exactly_one_run(lengths: list[int], limits: RunLimits) -> None:
    runs = runs_of(lengths, limits)
    assert sorted(index for run in runs for index in run) == list(range(len(lengths)))
    assert all(runs)


@given(lengths=LENGTHS, limits=LIMITS)
def test_a_run_of_several_rows_keeps_the_budget(lengths: list[int], limits: RunLimits) -> None:
    for run in runs_of(lengths, limits):
        assert len(run) == 1 or padded(run, lengths) <= limits.tokens


@given(lengths=LENGTHS, limits=LIMITS)
def test_little_of_a_run_of_more_than_four_rows_is_padding(lengths: list[int], limits: RunLimits) -> None:
    for run in runs_of(lengths, RunLimits(tokens=limits.tokens, whole=True)):
        waste = padded(run, lengths) - sum(lengths[index] for index in run)
        assert len(run) <= 4 or waste * WASTE <= padded(run, lengths)


@given(count=st.integers(1, 300), length=st.integers(1, 600), threads=st.integers(1, 8), by_input=st.booleans())
def test_rows_of_one_length_are_cut_into_equal_parts_that_stay_in_the_caches(
    count: int, length: int, threads: int, by_input: bool
) -> None:
    runs = runs_of([length] * count, RunLimits(tokens=count * length, threads=threads, by_input=by_input))
    sizes = {len(run) for run in runs}
    assert max(sizes) - min(sizes) <= 1
    cached = TOKENS_PER_RUN * (1 if by_input else threads)
    assert max(sizes) <= max(1, math.ceil(cached / length))


@given(count=st.integers(1, 300), length=st.integers(1, 600), threads=st.integers(1, 8))
def test_a_card_runs_whole_what_fits(count: int, length: int, threads: int) -> None:
    assert runs_of([length] * count, RunLimits(tokens=count * length, threads=threads, whole=True)) == [
        list(range(count))
    ]


def test_rows_of_similar_length_run_together() -> None:
    lengths = [100, 10] * 8
    assert runs_of(lengths, RunLimits(whole=True)) == [list(range(1, 16, 2)), list(range(0, 16, 2))]


def test_padding_is_the_part_that_is_computed_for_nothing() -> None:
    assert padding([7] * 20) == 0
    assert padding([5, 10]) == pytest.approx(1 / 4)
    assert padding([10] * 8 + [100] * 8) == 0


@pytest.mark.parametrize(
    ("count", "threads", "by_input", "parts"),
    [
        (16, 2, True, 2),
        (58, 2, True, 4),
        (16, 1, True, 1),
        (40, 1, True, 3),
        (39, 2, False, 1),
        (40, 1, False, 3),
        (4, 2, True, 1),
    ],
    ids=[
        "inputs are shared among threads that are free",
        "threads end together",
        "no thread waits for inputs that another could take",
        "a run never exceeds what stays in the cache",
        "nor what stays in the caches of all threads",
        "nor in one where the others are taken",
        "few tokens keep to one thread",
    ],
)
def test_a_batch_of_texts_is_split_so_that(count: int, threads: int, by_input: bool, parts: int) -> None:
    assert run_parts(count, 13, threads, by_input=by_input) == parts
