"""Rollouts of a service whose latencies are noisy, as histograms: what a guard would see, without the waiting."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deployments.observability.histogram import SECONDS
from deployments.operator.rollout.guards import Limits, judge, verdict
from deployments.operator.traffic_stats import TrafficStats

LOOK_S = 10  # between two looks, as often as Ray exports
MEDIAN_S, WIDTH = 0.008, 0.5  # of the latencies in a quiet moment, which are lognormal
SLOWEST = 0.95
_ERF = np.vectorize(math.erf)


@dataclass(frozen=True)
class Traffic:
    """What comes, and how the candidate fares with it."""

    rate: float  # requests/s of all versions
    every_s: int
    tail: float = 1.0  # the candidate's p99, times the incumbent's; its median is the same
    failing: float = 0.0  # of the candidate's requests


def noise(rng: np.random.Generator, looks: int, width: float, memory: float) -> NDArray[np.float64]:
    """Logarithms of a level that wanders."""
    level, found = 0.0, []
    for shock in rng.normal(0, width * math.sqrt(1 - memory**2), looks):
        level = memory * level + shock
        found.append(level)
    return np.array(found)


def below(bounds: NDArray[np.float64], level: NDArray[np.float64], tail: float) -> NDArray[np.float64]:
    """The part of the requests below each bound; the slowest 5 percent take ``tail`` times as long."""
    normal = lambda shift: 0.5 * (1 + _ERF((bounds - level[:, None] - shift) / (WIDTH * math.sqrt(2))))  # noqa: E731
    return np.maximum(np.minimum(normal(0.0), SLOWEST), normal(math.log(tail)))


def counted(rng: np.random.Generator, requests: NDArray[np.int64], level: NDArray[np.float64], tail: float) -> NDArray:
    """Cumulative histograms of the requests since the step began, [looks, buckets]."""
    parts = below(np.log(np.array(SECONDS) / MEDIAN_S), level, tail)
    edges = np.concatenate([np.zeros((len(level), 1)), parts, np.ones((len(level), 1))], axis=1)
    shares = np.diff(edges, axis=1).clip(0)
    drawn = rng.multinomial(requests, shares / shares.sum(axis=1, keepdims=True))
    return drawn.cumsum(axis=0).cumsum(axis=1)


def stats(row: NDArray, failed: int) -> TrafficStats:
    buckets = dict(zip([*SECONDS, math.inf], map(float, row), strict=True))
    return TrafficStats(answered=float(row[-1]), failed=failed, buckets=buckets, computed=buckets)


def stopped_at(rng: np.random.Generator, traffic: Traffic, steps: tuple[float, ...] = (1, 5, 25, 50)) -> float | None:
    """The percentage at which the guards stop the rollout; None where they let it reach 100."""
    for percent in steps:
        looks = max(
            traffic.every_s // LOOK_S, math.ceil(Limits().min_requests / (traffic.rate * LOOK_S * percent / 100))
        )
        shared = noise(rng, looks, 0.3, 0.9)
        own, its = (noise(rng, looks, 0.05, 0.9) for _ in range(2))
        mine = rng.poisson(traffic.rate * LOOK_S * percent / 100, looks)
        others = rng.poisson(traffic.rate * LOOK_S * (100 - percent) / 100, looks)
        candidate, incumbent = counted(rng, mine, shared + own, traffic.tail), counted(rng, others, shared + its, 1.0)
        failed = rng.binomial(mine, traffic.failing).cumsum()
        for look in range(looks):
            findings = judge(stats(candidate[look], failed[look]), stats(incumbent[look], 0), Limits())
            if verdict(findings) == "stop":
                return percent
    return None
