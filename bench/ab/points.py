"""What was measured of two checkouts, and how they compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.stats import median, ratio
from bench.report.tables import number, table

THIS, OTHER = "this", "other"


@dataclass(frozen=True)
class Point:
    """One load on one checkout, measured once."""

    load: str
    side: str
    rate: float  # requests per second
    p50_ms: float
    cpu_ms: float  # processor time that the service's processes took for each request
    failed: int
    others: float  # cores that everything else on the machine took meanwhile


def summary(points: Sequence[Point]) -> str:
    """Medians, their ratio, and the lowest and highest ratio of a round, as a Markdown table."""
    head = ["requests/s", THIS, OTHER, "ratio", "of rounds", "CPU ms/request", OTHER, "ratio", "of rounds", "failed"]
    rows = []
    for load in dict.fromkeys(point.load for point in points):
        sides = {side: [p for p in points if p.load == load and p.side == side] for side in (THIS, OTHER)}
        rates = _compared([p.rate for p in sides[THIS]], [p.rate for p in sides[OTHER]], 1)
        costs = _compared([p.cpu_ms for p in sides[THIS]], [p.cpu_ms for p in sides[OTHER]], 3)
        failed = sum(point.failed for side in sides.values() for point in side)
        rows.append([load, *rates, *costs, str(failed)])
    return table(head, rows)


def _compared(this: Sequence[float], other: Sequence[float], digits: int) -> list[str]:
    ratios = [ratio(ours, theirs) for ours, theirs in zip(this, other, strict=False)]  # the last round may be half
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}" if ratios else "–"
    medians = median(this), median(other)
    return [*(number(value, digits) for value in medians), number(ratio(*medians), 3), spread]
