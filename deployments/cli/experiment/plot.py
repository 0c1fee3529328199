"""An experiment's report as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deployments.operator.experiment.comparison import Comparison
from deployments.operator.neighbour_stats import Interval
from deployments.operator.traffic_stats import QUANTILES
from models.errors import ConfigError


def require_matplotlib() -> None:
    """Notice before anything is measured that nothing can be drawn.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise ConfigError("--plot needs matplotlib: install embedserve[plots]")


def draw(found: Comparison, path: Path) -> None:
    """Draw traffic, failures, latencies, cosines and shared neighbours as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7))
    panels = figure.subplots(2, 3).ravel()
    _traffic(panels[0], found)
    _bars(panels[1], found, (row.failed for row in found.versions), "failed, %", 100)
    for axes, part in zip(panels[2:4], QUANTILES, strict=True):
        _bars(axes, found, (row.latency[part] for row in found.versions), f"p{part * 100:g}, ms", 1)
    _cosines(panels[4], found)
    _neighbours(panels[5], found)
    figure.suptitle(found.model)
    figure.tight_layout()
    figure.savefig(path, dpi=110, format="png")


def _traffic(axes: Any, found: Comparison) -> None:
    versions = [row.version for row in found.versions]
    axes.bar(versions, [row.answered for row in found.versions], color="#4878a8")
    axes.set_title("requests")
    for name, split in found.splits.items():
        verdict = "too few to check" if split.p is None else "MISMATCH" if split.mismatch else "as the weights say"
        axes.set_xlabel(f"split {name.rpartition('/')[2]}: {verdict}", fontsize=8)


def _bars(axes: Any, found: Comparison, figures: Iterable[Interval | None], title: str, scale: float) -> None:
    axes.set_title(f"{title}, 95 % interval")
    for place, (row, one) in enumerate(zip(found.versions, figures, strict=True)):
        if one is not None:
            high = one.mean if math.isinf(one.high) else one.high
            apart = [[max(one.mean - one.low, 0) * scale], [max(high - one.mean, 0) * scale]]
            axes.errorbar([place], [one.mean * scale], yerr=apart, fmt="o", capsize=6)
        axes.set_xticks(range(len(found.versions)), [row.version for row in found.versions])
    axes.set_xlim(-0.5, len(found.versions) - 0.5)
    axes.set_ylim(bottom=0)


def _cosines(axes: Any, found: Comparison) -> None:
    axes.set_title("cosine of shadow copies")
    for version, stats in found.cosines.items():
        bounds = sorted(stats.cosines)
        total = stats.cosines[bounds[-1]] or 1
        parts = [
            stats.cosines[bound] - before
            for bound, before in zip(bounds, [0, *(stats.cosines[b] for b in bounds)], strict=False)
        ]
        names = [f"≤{bound:g}" if not math.isinf(bound) else f">{bounds[-2]:g}" for bound in bounds]
        axes.bar(names, [part / total for part in parts], alpha=0.6, label=version)
        axes.tick_params(axis="x", rotation=70, labelsize=7)
    if found.cosines:
        axes.legend(fontsize=8)


def _neighbours(axes: Any, found: Comparison) -> None:
    axes.set_title("of ten neighbours the same")
    for pair in found.pairs:
        total = pair.neighbours.inputs or 1
        counts = sorted(pair.neighbours.same.items())
        label = f"{pair.version} and {pair.other}"
        axes.bar([same for same, _ in counts], [count / total for _, count in counts], alpha=0.6, label=label)
    if found.pairs:
        axes.legend(fontsize=8)
