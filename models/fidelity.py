"""How alike two versions of a model are: what one wants to know before switching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.engine.types import Vectors

NEIGHBOURS = 10


@dataclass(frozen=True)
class Fidelity:
    """The likeness of two versions' vectors over one sample."""

    count: int
    mean: float  # of the cosines of each input's two vectors
    lowest: float
    percentile: float  # the first
    overlap: float  # share of each input's ten nearest neighbours in the sample that both versions agree on


def cosines(first: Vectors, second: Vectors) -> NDArray[np.float64]:
    """The cosine of each pair of unit vectors, float64 [n]."""
    products: NDArray[np.float64] = np.einsum("nd,nd->n", first.astype(np.float64), second.astype(np.float64))
    return products


def compare(first: Vectors, second: Vectors) -> Fidelity:
    """Compare two versions' unit vectors, float32 [n, d], of the same inputs; dimensions must agree."""
    values = cosines(first, second)
    return Fidelity(
        count=len(values),
        mean=float(values.mean()),
        lowest=float(values.min()),
        percentile=float(np.percentile(values, 1)),
        overlap=overlap(first, second),
    )


def overlap(first: Vectors, second: Vectors) -> float:
    """Mean share of the nearest neighbours, among the sample's other inputs, that both versions name."""
    pairs = zip(_neighbours(first), _neighbours(second), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in pairs]))


def _neighbours(vectors: Vectors) -> list[list[int]]:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    count = min(NEIGHBOURS, len(vectors) - 1)
    nearest: list[list[int]] = np.argsort(-scores, axis=1, kind="stable")[:, :count].tolist()
    return nearest
