"""How far two versions agree about what lies near, as a service's gateways export it; each has a sample of its own."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

INPUTS, OVERLAP, RANKS = "embedserve_neighbour_inputs", "embedserve_neighbour_overlap", "embedserve_rank_correlation"
NAMES = (INPUTS, OVERLAP, RANKS)
WHERE = ("replica", "WorkerId", "SessionName", "NodeAddress")  # labels that Ray adds, which tell gateways apart


@dataclass(frozen=True)
class Interval:
    """A figure and the interval in which it lies."""

    mean: float
    low: float
    high: float


@dataclass
class NeighbourStats:
    """What one pair of versions has in common, all gateways together."""

    same: dict[int, float]  # how many of the ten nearest are the same → inputs
    overlap: Interval | None = None
    ranks: Interval | None = None

    @property
    def inputs(self) -> float:
        """Inputs that were compared; one that two gateways have counts twice."""
        return sum(self.same.values())


@dataclass
class Exported:
    """What one gateway says of a pair."""

    same: dict[int, float] = field(default_factory=dict)
    bounds: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))  # by metric

    def interval(self, name: str) -> Interval | None:
        """Of a metric, where it is whole."""
        bounds = self.bounds.get(name, {})
        return Interval(**bounds) if bounds.keys() == {"mean", "low", "high"} else None


class Gathered:
    """The samples of an exposition, one after the other."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._found: dict[tuple[str, str], dict[tuple[str, ...], Exported]] = defaultdict(lambda: defaultdict(Exported))

    def add(self, name: str, labels: Mapping[str, str], value: float) -> None:
        """Take one sample of the three metrics."""
        pair = (f"{labels.get('model', '')}@{labels.get('version', '')}", labels.get("other", ""))
        one = self._found[pair][tuple(labels.get(label, "") for label in WHERE)]
        if name == INPUTS:
            one.same[int(labels["same"])] = value
        else:
            one.bounds[name][labels["bound"]] = value

    def pairs(self) -> dict[tuple[str, str], NeighbourStats]:
        """By ``name@version`` and the other version."""
        return {pair: _together(gateways.values()) for pair, gateways in self._found.items()}


def _together(gateways: Iterable[Exported]) -> NeighbourStats:
    every = list(gateways)
    same: dict[int, float] = defaultdict(float)
    for one in every:
        for count, inputs in one.same.items():
            same[count] += inputs
    weighed = {
        name: [(sum(one.same.values()), found) for one in every if (found := one.interval(name)) is not None]
        for name in (OVERLAP, RANKS)
    }
    return NeighbourStats(dict(same), mean_of(weighed[OVERLAP]), mean_of(weighed[RANKS]))


def mean_of(parts: Iterable[tuple[float, Interval]]) -> Interval | None:
    """The mean of figures of samples that are independent of each other, by their sizes; None of none."""
    weighed = [(inputs, found) for inputs, found in parts if inputs > 0]
    total = sum(inputs for inputs, _ in weighed)
    if not total:
        return None
    mean = sum(inputs * found.mean for inputs, found in weighed) / total
    below = math.sqrt(sum((inputs / total * (found.mean - found.low)) ** 2 for inputs, found in weighed))
    above = math.sqrt(sum((inputs / total * (found.high - found.mean)) ** 2 for inputs, found in weighed))
    return Interval(mean, mean - below, mean + above)
