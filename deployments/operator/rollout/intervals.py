"""Confidence intervals of what counters and histograms say. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping


def share(count: float, total: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a share of ``total`` trials; (0, 1) where there was none."""
    if total <= 0:
        return 0.0, 1.0
    part = min(count / total, 1.0)
    middle = part + z * z / (2 * total)
    spread = z * math.sqrt(part * (1 - part) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max((middle - spread) / scale, 0.0), min((middle + spread) / scale, 1.0)


def quantile(buckets: Mapping[float, float], part: float, z: float) -> tuple[float, float]:
    """The interval of a quantile: the values at the ranks between which its rank lies.

    Args:
        buckets: upper bound to cumulative count.
        part: such as 0.99.
        z: of the normal distribution.

    Returns:
        Low and high, in the unit of the bounds; high is infinite where too few values lie above the quantile.
    """
    total = max(buckets.values(), default=0.0)
    if total <= 0:
        return 0.0, math.inf
    spread = z * math.sqrt(total * part * (1 - part))
    low, high = total * part - spread, total * part + spread
    return value_at(buckets, max(low, 0.0)), value_at(buckets, high) if high <= total else math.inf


def value_at(buckets: Mapping[float, float], rank: float) -> float:
    """The value of a rank, linear within its bucket; of the last bucket, which has no end, its beginning."""
    lower = below = 0.0
    for bound in sorted(buckets):
        count = buckets[bound]
        if count >= rank and count > below:
            return lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = (lower if math.isinf(bound) else bound), count
    return lower
