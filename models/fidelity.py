"""How similar the vectors of two versions are: worth knowing before a switch from one to the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.engine.types import Vectors
from models.neighbours import NEIGHBOURS


@dataclass(frozen=True)
class Fidelity:
    """How similar two versions' vectors of one sample are."""

    count: int
    mean: float  # of the cosines between each input's two vectors; so are the next two
    lowest: float
    percentile: float  # the first
    overlap: float  # 0 to 1: the share of an input's ten nearest neighbours that both versions find, on average


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
    """The share, 0 to 1, of an input's nearest neighbours in the sample that both versions find, on average."""
    pairs = zip(_neighbours(first), _neighbours(second), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in pairs]))


def _neighbours(vectors: Vectors) -> list[list[int]]:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    count = min(NEIGHBOURS, len(vectors) - 1)
    nearest: list[list[int]] = np.argsort(-scores, axis=1, kind="stable")[:, :count].tolist()
    return nearest
