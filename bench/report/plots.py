"""Draws the results of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {
    "ceiling": "#9aa0a6",
    "ours": "#1a73e8",
    "default": "#12b5cb",
    "naive": "#e8710a",
    "infinity": "#188038",
    "fastembed": "#a142f4",
    "openvino": "#b31412",
}
HATCHES = {"int8": "//", "fp16": "xx", "bf16": "\\\\", "onnx": ".."}
STYLES = {"int8": "--", "fp16": "-.", "bf16": "-.", "onnx": ":"}  # of lines, by variant
MARKERS = {"int8": "s", "fp16": "^", "bf16": "v", "onnx": "D"}


def throughput(cells: list[dict[str, Any]], path: Path) -> None:
    """Rates of each load as shares of its fastest ceiling."""
    loads = list(dict.fromkeys(c["load"] for c in cells if c["target"].startswith("ceiling")))
    targets = list(dict.fromkeys(c["target"] for c in cells))
    rates = {(c["load"], c["target"]): c["medians"]["rate"] or 0 for c in cells}
    height = 0.85 / len(targets)
    figure, axes = plt.subplots(figsize=(9, 1 + 0.9 * len(loads)))
    for index, target in enumerate(targets):
        best = [max(rates.get((load, t), 0) for t in targets if t.startswith("ceiling")) or 1 for load in loads]
        shares = [rates.get((load, target), 0) / top for load, top in zip(loads, best, strict=True)]
        system, _, variant = target.partition(" ")
        places = [row + index * height for row in range(len(loads))]
        look: dict[str, Any] = {
            "color": COLOURS[system],
            "hatch": HATCHES.get(variant, ""),
            "edgecolor": "white",
            "linewidth": 0.3,
        }
        axes.barh(places, shares, height, label=target, **look)
    axes.set_yticks([row + 0.4 for row in range(len(loads))], loads)
    axes.set_ylim(len(loads), -0.2)
    axes.set_xlabel("items per second, as a share of the fastest model alone")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5)
    _save(figure, path)


def latency(cells: list[dict[str, Any]], path: Path) -> None:
    """p50 and p99 by clients, one text of 13 tokens per request."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    for target in dict.fromkeys(c["target"] for c in cells):
        system, _, variant = target.partition(" ")
        points = sorted(
            (int(c["load"].rsplit("c", 1)[1]), c["medians"]["p50"], c["medians"]["p99"])
            for c in cells
            if c["target"] == target
        )
        clients, *percentiles = zip(*points, strict=True)
        look = {"color": COLOURS[system], "linestyle": STYLES.get(variant, "-"), "marker": MARKERS.get(variant, "o")}
        for axes, values in zip(panels, percentiles, strict=True):
            axes.plot(clients, values, label=target, markersize=5, **look)
    every = sorted({int(c["load"].rsplit("c", 1)[1]) for c in cells})
    for axes, name in zip(panels, ("p50", "p99"), strict=True):
        axes.set(xscale="log", yscale="log", xlabel="clients, one text each", title=name)
        axes.set_xticks(every, every)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("ms")
    panels[0].legend(fontsize=7)
    _save(figure, path)


def open_loop(overloads: list[dict[str, Any]], path: Path) -> None:
    """Goodput and p99 by offered rate."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
    for one in overloads:
        stages = sorted([*one["steps"], [one["sustainable"] * 4, one["overload"]]], key=lambda stage: stage[0])
        offered = [rate for rate, _ in stages]
        left.plot(offered, [result["goodput"] for _, result in stages], marker="o", label=one["target"])
        right.plot(offered, [result["p99_ms"] for _, result in stages], marker="o", label=one["target"])
    left.set(xlabel="offered requests/s", ylabel="answered well, per second")
    right.set(xlabel="offered requests/s", ylabel="p99 of accepted, ms", yscale="log")
    left.set_ylim(bottom=0)
    left.legend(fontsize=7)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw(document: dict[str, Any], stem: Path) -> list[Path]:
    """Draw a run's JSON document.

    Returns:
        The pictures, as far as the run has what they show: ``STEM-throughput.png``, ``STEM-latency.png``,
        ``STEM-open-loop.png``.
    """
    cells = document["cells"]
    against = {c["load"] for c in cells if c["target"].startswith("ceiling")}
    served = [c for c in cells if not c["target"].startswith("ceiling")]
    plots: dict[str, tuple[Callable[[list[dict[str, Any]], Path], None], list[dict[str, Any]]]] = {
        "throughput": (throughput, cells if against else []),
        "latency": (latency, [c for c in served if c["load"].startswith("text 1×13") and "cached" not in c["load"]]),
        "open-loop": (open_loop, document["overloads"]),
    }
    paths = []
    for name, (drawer, data) in plots.items():
        if data:
            paths.append(stem.with_name(f"{stem.name}-{name}.png"))
            drawer(data, paths[-1])
    return paths
