"""Shared neighbours and ranks of two versions, against a calculation without any cleverness; and whether the intervals hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.neighbours import GROUPS, LEAST, NEIGHBOURS, agreement

RNG = np.random.default_rng(7)


def cosine(a, b) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def lines(vectors: list[list[float]], kept: list[int]) -> dict[int, list[int]]:
    """For each input the others, nearest first."""
    near = lambda i, j: -cosine(vectors[i], vectors[j])  # noqa: E731
    return {i: sorted((j for j in kept if j != i), key=lambda j: near(i, j)) for i in kept}


def by_hand(first: list[list[float]], second: list[list[float]], kept: list[int]) -> tuple[list[int], float, float]:
    """The neighbours that are the same, their share, and the mean of Spearman's correlations."""
    one, other = lines(first, kept), lines(second, kept)
    same = [len(set(one[i][:NEIGHBOURS]) & set(other[i][:NEIGHBOURS])) for i in kept]
    correlations = []
    for i in kept:
        places = [(one[i].index(j), other[i].index(j)) for j in kept if j != i]
        correlations.append(float(np.corrcoef(np.array(places).T)[0, 1]))
    return same, sum(same) / len(same) / NEIGHBOURS, sum(correlations) / len(correlations)


def noisy(count: int, noise: float, rng: np.random.Generator = RNG) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of 16 dimensions about some topics, and what another version of 12 makes of them."""
    topics = np.random.default_rng(0).normal(size=(20, 16))
    meant = topics[rng.integers(0, 20, count)] + 0.8 * rng.normal(size=(count, 16)) + 1
    other = meant @ np.random.default_rng(1).normal(size=(16, 12)) + noise * rng.normal(size=(count, 12))
    return meant.astype(np.float32), other.astype(np.float32)


def test_overlap_ranks_and_their_intervals_are_those_of_a_calculation_by_hand() -> None:
    first, second = noisy(45, 2.0)
    found = agreement(first, second, z=2.0)
    a, b, every = first.astype(float).tolist(), second.astype(float).tolist(), list(range(45))
    same, *wanted = by_hand(a, b, every)
    assert found.same.tolist() == same
    without = [by_hand(a, b, [i for i in every if i % GROUPS != group])[1:] for group in range(GROUPS)]
    for got, mean, left in zip((found.overlap, found.ranks), wanted, zip(*without, strict=True), strict=True):
        middle = sum(left) / GROUPS
        error = math.sqrt((GROUPS - 1) / GROUPS * sum((one - middle) ** 2 for one in left))
        assert (got.mean, got.low, got.high) == pytest.approx((mean, mean - 2 * error, mean + 2 * error), abs=1e-5)


def test_a_version_agrees_with_itself_turned_and_scaled_wholly() -> None:
    first, _ = noisy(100, 0)
    turned = first @ np.linalg.qr(RNG.normal(size=(16, 16)))[0].astype(np.float32) * 7
    found = agreement(first, turned)
    assert found.overlap.mean > 0.999
    assert found.ranks.mean > 0.999
    assert found.same.min() >= NEIGHBOURS - 1  # of equal nearness within rounding


def test_versions_that_know_nothing_of_each_other_agree_by_chance() -> None:
    found = agreement(RNG.normal(size=(256, 16)).astype(np.float32), RNG.normal(size=(256, 32)).astype(np.float32))
    assert found.overlap.low <= NEIGHBOURS / 255 <= found.overlap.high
    assert found.ranks.low <= 0 <= found.ranks.high


def test_too_few_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=f"{LEAST} at least"):
        agreement(*noisy(LEAST - 1, 1.0))
    assert agreement(*noisy(LEAST, 1.0)).overlap.high == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.2, 2.0, 8.0])
@pytest.mark.parametrize("count", [100, 256])
def test_95_of_100_intervals_hold_what_other_samples_of_the_same_traffic_say(count: int, noise: float) -> None:
    found = [agreement(*noisy(count, noise, np.random.default_rng(seed))) for seed in range(100)]
    for name in ("overlap", "ranks"):
        every = [getattr(one, name) for one in found]
        truth = sum(one.mean for one in every) / len(every)
        held = sum(one.low <= truth <= one.high for one in every)
        print(f"{count} inputs, noise {noise:g}, {name} {truth:.3f}: {held} of 100 intervals hold it")
        assert held >= 88  # of 95, less three standard deviations
