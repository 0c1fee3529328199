"""What comparisons and descriptions of models show: size, speed, samples and a plot."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from models.embedder import Embedder, probe
from models.engine.types import Vectors
from models.errors import ArtifactError
from models.modalities.base import Item

RUNS = 15


def parameters(graph: Path) -> int:
    """Numbers stored as weights in an ONNX file."""
    return sum(int(np.prod(t.dims)) for t in onnx.load(str(graph)).graph.initializer)


def milliseconds(embedder: Embedder) -> float:
    """Median time of embedding one fixed input here."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        probe(embedder)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def read_sample(path: Path, embedder: Embedder) -> list[Item]:
    """The inputs in a file or folder, read by the embedder's modality: one text per line, or one picture per file."""
    return embedder.artifact.spec.modality.read_sample(path)


def embed_sample(embedder: Embedder, sample: Sequence[Item]) -> Vectors:
    """Vectors of a sample, float32 [n, d].

    Raises:
        ArtifactError: there are fewer than two inputs.
        InputError: an input cannot be prepared, or is of another modality.
    """
    if len(sample) < 2:
        raise ArtifactError("a comparison needs at least two inputs")
    return embedder.embed_items(sample)


def plot_cosines(values: NDArray[np.float64], target: Path, title: str) -> None:
    """Draw the distribution of cosines as a PNG.

    Raises:
        ArtifactError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ArtifactError("plots need matplotlib: install embedserve[plots]") from error
    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot()
    axes.hist(values, bins=50)
    axes.set(title=title, xlabel="cosine", ylabel="inputs")
    figure.savefig(target, dpi=120)
