"""The versions of one model side by side: traffic, latency and failures with intervals, and what shadow copies say. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from deployments.operator.experiment.sample_ratio import Split, split
from deployments.operator.neighbour_stats import Interval, NeighbourStats
from deployments.operator.rollout.intervals import quantile, share, value_at
from deployments.operator.traffic_stats import QUANTILES, TrafficStats

Z = 1.96  # standard deviations on each side: 95 of 100 intervals hold the truth


@dataclass(frozen=True)
class VersionRow:
    """One version's figures; intervals are None where nothing was counted."""

    version: str
    answered: float
    failed: Interval | None  # part of the answers
    latency: dict[float, Interval | None]  # by quantile, in ms, of requests of which nothing was cached


@dataclass(frozen=True)
class PairRow:
    """What shadow copies say of two versions."""

    version: str
    other: str
    neighbours: NeighbourStats


@dataclass(frozen=True)
class Comparison:
    """Everything that the service counted about a model's versions."""

    model: str
    versions: list[VersionRow]
    pairs: list[PairRow]
    cosines: dict[str, TrafficStats]  # by version that got copies
    splits: dict[str, Split]  # by experiment, of requests without a key


def compare(model: str, stats: Mapping[str, TrafficStats]) -> Comparison:
    """The versions of a model, from statistics by ``name@version``."""
    mine = {
        reference.partition("@")[2]: one
        for reference, one in sorted(stats.items())
        if reference.startswith(f"{model}@")
    }
    counted = {v: one for v, one in mine.items() if one.answered or one.shares or one.cosines or one.neighbours}
    rows = [_row(version, one) for version, one in counted.items()]
    pairs = [PairRow(version, other, one) for version, s in counted.items() for other, one in s.neighbours.items()]
    cosines = {version: one for version, one in counted.items() if one.cosines}
    return Comparison(model, rows, pairs, cosines, _splits(counted))


def shares_of(stats: Mapping[str, TrafficStats], model: str, experiment: str) -> dict[str, float]:
    """The shares of an experiment by version."""
    return {
        reference.partition("@")[2]: one.shares[experiment]
        for reference, one in stats.items()
        if reference.startswith(f"{model}@") and experiment in one.shares
    }


def differs(one: Interval | None, other: Interval | None) -> str:
    """Whether intervals of two versions lie apart, in a word: ``higher``, ``lower`` or ``same``; empty where one is missing."""
    if one is None or other is None:
        return ""
    return "higher" if one.low > other.high else "lower" if one.high < other.low else "same"


def mean_cosine(stats: TrafficStats) -> float | None:
    """Of a version's shadow copies to what was answered."""
    count = max(stats.cosines.values(), default=0.0)
    return stats.cosine_sum / count if count else None


def _row(version: str, stats: TrafficStats) -> VersionRow:
    failed = None
    if stats.answered > 0:
        failed = Interval(stats.failed / stats.answered, *share(stats.failed, stats.answered, Z))
    return VersionRow(version, stats.answered, failed, {part: _latency(stats, part) for part in QUANTILES})


def _latency(stats: TrafficStats, part: float) -> Interval | None:
    total = max(stats.computed.values(), default=0.0)
    if total <= 0:
        return None
    low, high = quantile(stats.computed, part, Z)
    return Interval(
        value_at(stats.computed, total * part) * 1000, low * 1000, math.inf if math.isinf(high) else high * 1000
    )


def _splits(counted: Mapping[str, TrafficStats]) -> dict[str, Split]:
    experiments = sorted({name for one in counted.values() for name in one.shares})
    return {
        name: split(
            {version: one.assigned.get(name, 0.0) for version, one in counted.items()},
            {version: one.shares[name] for version, one in counted.items() if name in one.shares},
        )
        for name in experiments
    }
