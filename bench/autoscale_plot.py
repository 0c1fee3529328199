"""Draws a simulated run: traffic, replicas, queue and latency over time."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

from bench.autoscale_model import Run

matplotlib.use("Agg")
import matplotlib.pyplot as plt

POINTS = 1440  # a day in minutes; more than a screen shows


def draw(run: Run, folder: Path) -> Path:
    """Write ``autoscale-SERVICE-TRACE.png`` and return its path."""
    width = max(1, run.trace.seconds // POINTS)
    hours = np.arange(run.trace.seconds // width) * width / 3600
    figure, axes = plt.subplots(4, 1, figsize=(9, 8), sharex=True)
    axes[0].plot(hours, _means(run.trace.requests, width), color="#5f6368")
    axes[0].set_ylabel("requests/s")
    axes[1].step(hours, _means(run.serving, width), color="#1a73e8", label="serving")
    axes[1].step(hours, _means(run.target, width), color="#1a73e8", alpha=0.4, linestyle=":", label="aimed for")
    axes[1].set_ylabel("replicas")
    axes[1].legend(fontsize=7)
    axes[2].plot(hours, _most(run.queue_s, width), color="#e8710a")
    axes[2].set_ylabel("queue, s of work")
    axes[3].plot(hours, _most(run.latency_s, width) * 1000, color="#188038")
    axes[3].set(ylabel="latency, ms", xlabel="hours", yscale="log")
    figure.suptitle(f"{run.service.name}, {run.trace.name}: simulated")
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"autoscale-{run.service.name}-{run.trace.name}.png".replace(" ", "-")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _means(values: NDArray[np.float64] | NDArray[np.int64], width: int) -> NDArray[np.float64]:
    means: NDArray[np.float64] = _blocks(values, width).mean(axis=1)
    return means


def _most(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    most: NDArray[np.float64] = _blocks(values, width).max(axis=1)
    return most


def _blocks(values: NDArray[np.float64] | NDArray[np.int64], width: int) -> NDArray[np.float64]:
    return values[: len(values) // width * width].astype(float).reshape(-1, width)
