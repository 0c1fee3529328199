"""An experiment's report as tables and lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from rich import box
from rich.table import Table

from deployments.cli.status_table import ABSENT
from deployments.operator.digits import digits
from deployments.operator.experiment.comparison import Comparison, VersionRow, differs, mean_cosine
from deployments.operator.experiment.sample_ratio import Split
from deployments.operator.neighbour_stats import Interval
from deployments.operator.traffic_stats import QUANTILES


def versions_table(found: Comparison) -> Table:
    """One row a version, each compared with the one that answered most."""
    main = max(found.versions, key=lambda row: row.answered)
    columns = ["failed, %", *(f"p{part * 100:g}, ms" for part in QUANTILES)]
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=f"{found.model}, compared with {main.version}")
    result.add_column("version", no_wrap=True)
    result.add_column("requests", justify="right")
    for name in columns:
        result.add_column(f"{name} (95 %)", justify="right")
    for row in found.versions:
        result.add_row(row.version, f"{row.answered:.0f}", *_figures(row, main))
    return result


def _figures(row: VersionRow, main: VersionRow) -> Iterator[str]:
    yield _told(row.failed, main.failed if row is not main else None, 100)
    for part in QUANTILES:
        yield _told(row.latency[part], main.latency[part] if row is not main else None, 1)


def _told(one: Interval | None, other: Interval | None, scale: float) -> str:
    if one is None:
        return ABSENT
    high = "…" if math.isinf(one.high) else digits(one.high * scale)
    return f"{digits(one.mean * scale)} ({digits(one.low * scale)} to {high}) {differs(one, other)}".rstrip()


def pairs_table(found: Comparison) -> Table:
    """One row for each two versions that embedded the same inputs."""
    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title="shadow copies")
    for name in ("versions", "cosine, mean", "inputs", "of ten neighbours the same (95 %)", "rank correlation (95 %)"):
        result.add_column(name, justify="left" if name == "versions" else "right")
    for pair in found.pairs:
        near, cosine = pair.neighbours, found.cosines.get(pair.version)
        mean = mean_cosine(cosine) if cosine else None
        result.add_row(
            f"{pair.version} and {pair.other}",
            ABSENT if mean is None else f"{mean:.4f}",
            f"{near.inputs:.0f}",
            ABSENT if near.overlap is None else _told(near.overlap, None, 10),
            ABSENT if near.ranks is None else _told(near.ranks, None, 1),
        )
    compared = {pair.version for pair in found.pairs}
    for version, stats in found.cosines.items():
        mean = mean_cosine(stats)
        if version not in compared and mean is not None:
            result.add_row(version, f"{mean:.4f}", ABSENT, ABSENT, ABSENT)
    return result


def split_lines(splits: Mapping[str, Split]) -> list[str]:
    """What the split of requests without a key came to, in each experiment in force."""
    return [f"split {name}, requests without a key: {_verdict(one)}" for name, one in splits.items()]


def lines_of_keys(name: str, found: Split, torn: int) -> list[str]:
    """What the split of keys came to, and whether any saw two versions."""
    lines = [f"split {name}, keys: {_verdict(found)}"]
    if torn:
        lines.append(
            f"split {name}: {torn} keys saw more than one version: they were moved, or gateways disagreed for a moment"
        )
    return lines


def _verdict(found: Split) -> str:
    counts = ", ".join(f"{v} {count:.0f} of {found.expected[v]:.0f} expected" for v, count in found.counted.items())
    if found.p is None:
        return f"too few to check ({counts})"
    word = "MISMATCH, do not compare the versions before it is understood" if found.mismatch else "as the weights say"
    return f"{word} (p = {found.p:.2g}; {counts})"
