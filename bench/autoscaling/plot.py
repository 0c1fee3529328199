"""Draws simulated runs of one service side by side: traffic, replicas, queue and latency over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bench.autoscaling.fleet import Run

matplotlib.use("Agg")
import matplotlib.pyplot as plt

POINTS = 720  # of a curve: more than its column has pixels
HOUR = 3600
LABELS = ("requests/s", "replicas", "queue, s of work", "latency, ms")


def draw(runs: Sequence[Run], folder: Path) -> Path:
    """Write ``autoscale-SERVICE.png`` with a column for each trace and return its path."""
    figure, axes = plt.subplots(4, len(runs), figsize=(4 * len(runs), 6.5), sharex="col", squeeze=False)
    for column, run in zip(axes.T, runs, strict=True):
        _column(column, run)
    for axis, label in zip(axes[:, 0], LABELS, strict=True):
        axis.set_ylabel(label)
    figure.suptitle(f"{runs[0].service.name}, simulated")
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"autoscale-{runs[0].service.name}.png"
    figure.savefig(path, dpi=75)
    plt.close(figure)
    return path


def _column(axes: Sequence[Axes], run: Run) -> None:
    width = max(1, run.trace.seconds // POINTS)
    unit, name = (HOUR, "hours") if run.trace.seconds > 4 * HOUR else (60, "minutes")
    time = np.arange(run.trace.seconds // width) * width / unit
    axes[0].set_title(run.trace.name, fontsize=10)
    axes[0].plot(time, _blocks(run.trace.requests, width).mean(axis=1), color="#5f6368", linewidth=1)
    axes[1].step(time, _blocks(run.serving, width).mean(axis=1), color="#1a73e8")
    axes[2].plot(time, _blocks(run.queue_s, width).max(axis=1), color="#e8710a")
    axes[3].plot(time, _blocks(run.latency_s, width).max(axis=1) * 1000, color="#188038")
    axes[3].set(xlabel=name, yscale="log")


def _blocks(values: NDArray[np.float64] | NDArray[np.int64], width: int) -> NDArray[np.float64]:
    return values[: len(values) // width * width].astype(float).reshape(-1, width)
