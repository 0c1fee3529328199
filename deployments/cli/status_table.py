"""What a service serves, as a table: one row a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from deployments.operator.digits import digits
from deployments.operator.traffic_stats import TrafficStats

COLOURS = {"ready": "green", "loading": "yellow", "failed": "red", "asleep": "cyan"}
COLUMNS = ("version", "state", "hash", "precision", "share", "reps")
TRAFFIC = ("req/s", "p50", "p99", "err")  # latencies in ms
NUMERICS = "numerics"  # last and cut off first: it is long, and `/v1/models` has it too
ABSENT = "–"


def table(
    entries: list[dict[str, Any]], stats: Mapping[str, TrafficStats] | None = None, seconds: float | None = None
) -> Table:
    """One row per version; without ``seconds`` the counts are those since the start, and there is no rate."""
    reasons = [f"{entry['id']}: {entry['reason']}" for entry in entries if entry["reason"]]
    reasons += [f"{entry['id']}: {warning}" for entry in entries for warning in entry.get("warnings", [])]
    if any(entry["weights"] == "synthetic" for entry in entries):
        reasons.append("* synthetic weights: their vectors carry no meaning")
    reasons += neighbour_lines(stats or {})
    # One blank between columns: what stands before `numerics` fits into 80.
    result = Table(box=box.SIMPLE_HEAD, padding=0, caption=Text("\n".join(reasons)), caption_justify="left")
    for name in (*COLUMNS, *TRAFFIC):
        result.add_column(name, no_wrap=True, justify="right" if name in TRAFFIC else "left")
    result.add_column(NUMERICS, overflow="ellipsis")
    for entry in entries:
        shadow = entry.get("shadow")
        result.add_row(
            entry["id"],
            Text(entry["state"], style=COLOURS.get(entry["state"], "")),
            (entry["hash"] or "?")[:8],
            (entry["precision"] or "?") + ("*" if entry["weights"] == "synthetic" else ""),
            f"{entry['share']:.0%}" + (f" +{shadow:g}%" if isinstance(shadow, int | float) and shadow else ""),
            str(entry["replicas"]),
            *traffic((stats or {}).get(entry["id"]), seconds),
            entry.get("numerics") or "?",
        )
    return result


def traffic(stats: TrafficStats | None, seconds: float | None) -> list[str]:
    """Rate, median, 99th percentile and errors as cells."""
    if stats is None:
        return [ABSENT] * len(TRAFFIC)
    rate = ABSENT if seconds is None else f"{stats.answered / seconds:.1f}"
    latencies = [stats.quantile_ms(part) for part in (0.5, 0.99)]
    return [rate, *(ABSENT if value is None else digits(value) for value in latencies), f"{stats.failed:.0f}"]


def neighbour_lines(stats: Mapping[str, TrafficStats]) -> list[str]:
    """For each two versions that embedded the same inputs, how far they agree about what lies near."""
    return [
        f"{reference} and {other}: {found.overlap.mean:.0%} of the ten nearest are the same "
        f"({found.overlap.low:.0%} to {found.overlap.high:.0%}), ranks correlate by {found.ranks.mean:.2f}; {found.inputs:.0f} inputs"
        for reference, one in sorted(stats.items())
        for other, found in sorted(one.neighbours.items())
        if found.overlap and found.ranks
    ]
