"""Whether two versions see the same inputs as near to each other: shared neighbours and equal ranks, with intervals. Pure functions.

Vectors of two versions cannot be compared, what lies near what can, also where they have different dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.engine.types import Vectors

NEIGHBOURS = 10
LEAST = NEIGHBOURS + 2  # inputs: with fewer, everything is everything's neighbour
GROUPS = 20  # of inputs, each left out once for the intervals

Ranks = NDArray[np.int32]  # [n, n]: the place of each input in the line of those near one; its own place is the last


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval in which it lies."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """How far two versions agree about one sample of inputs."""

    same: NDArray[np.int64]  # [n]: how many of an input's ten nearest are the same for both
    overlap: Estimate  # 0 to 1: the mean of that, as a share
    ranks: Estimate  # -1 to 1: the rank correlation (Spearman) of all others' nearness, mean over the inputs


def agreement(first: Vectors, second: Vectors, z: float = 1.96) -> Agreement:
    """Compare what two versions find near, float32 [n, d] and [n, e] of the same ``n`` different inputs.

    The intervals are those of a jackknife that leaves out a twentieth of the inputs at a time, as what is asked for and as what
    is found: each input is a neighbour of many, so that the inputs' own figures are not independent of each other.

    Args:
        first: vectors of any length above 0; the cosine is what counts.
        second: of the same inputs in the same order.
        z: standard deviations on each side.

    Raises:
        ValueError: there are fewer than ``LEAST`` inputs, or not as many of both.
    """
    if len(first) != len(second) or len(first) < LEAST:
        raise ValueError(f"needs as many vectors of both, {LEAST} at least; not {len(first)} and {len(second)}")
    cosines = [_cosines(vectors) for vectors in (first, second)]
    same, correlations = _compared(*cosines)
    without = [_means(*_compared(*(_left(one, group) for one in cosines))) for group in _groups(len(first))]
    overlap, ranks = (
        _estimate(mean, [left[i] for left in without], z) for i, mean in enumerate(_means(same, correlations))
    )
    return Agreement(same, _within(overlap, 0.0), _within(ranks, -1.0))


def _cosines(vectors: Vectors) -> NDArray[np.float32]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    found: NDArray[np.float32] = (unit @ unit.T).astype(np.float32)
    return found


def _compared(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each input, how many of its nearest are the same, and the rank correlation; from cosines [n, n]."""
    one, other = _ranks(first), _ranks(second)
    same = np.count_nonzero((one < NEIGHBOURS) & (other < NEIGHBOURS), axis=1)
    others = len(first) - 1
    apart = np.square((one - other).astype(np.float64)).sum(axis=1)
    return same, 1 - 6 * apart / (others * (others * others - 1))


def _ranks(cosines: NDArray[np.float32]) -> Ranks:
    """The place of each input in the line of each other, 0 for the nearest."""
    count = len(cosines)
    held = cosines.copy()
    np.fill_diagonal(held, -np.inf)
    order = np.argsort(-held, axis=1, kind="stable")
    places = np.empty((count, count), np.int32)
    np.put_along_axis(places, order, np.arange(count, dtype=np.int32)[np.newaxis], axis=1)
    return places


def _groups(count: int) -> list[NDArray[np.int64]]:
    """The inputs that stay when each group is left out."""
    every = np.arange(count)
    groups = min(GROUPS, count - LEAST + 1)
    return [every[every % groups != group] for group in range(groups)] if groups > 1 else []


def _left(cosines: NDArray[np.float32], kept: NDArray[np.int64]) -> NDArray[np.float32]:
    return cosines[np.ix_(kept, kept)]


def _means(same: NDArray[np.int64], correlations: NDArray[np.float64]) -> tuple[float, float]:
    return float(same.mean()) / NEIGHBOURS, float(correlations.mean())


def _estimate(mean: float, without: list[float], z: float) -> Estimate:
    if len(without) < 2:
        return Estimate(mean, -np.inf, np.inf)
    groups = len(without)
    error = float(np.sqrt((groups - 1) / groups * np.square(np.array(without) - np.mean(without)).sum()))
    return Estimate(mean, mean - z * error, mean + z * error)


def _within(found: Estimate, least: float) -> Estimate:
    return Estimate(found.mean, max(found.low, least), min(found.high, 1.0))
