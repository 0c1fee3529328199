"""How many of the neighbours that should be found are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models.engine.types import Vectors
from models.neighbours import NEIGHBOURS

ROWS = 512  # queries whose scores are computed at a time: 20 MB against an index of 10,000

Found = NDArray[np.int64]  # [queries, NEIGHBOURS], rows of an index, nearest first


@dataclass(frozen=True)
class Share:
    """A mean over queries, 0 to 1, and how sure it is."""

    mean: float
    error: float  # standard error of the mean

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Of one value for each query."""
        return cls(float(values.mean()), float(values.std() / np.sqrt(max(1, len(values)))))

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.mean - 1.96 * self.error

    def __str__(self) -> str:
        """``0.612 ± 0.008``, the 95 % interval."""
        return f"{self.mean:.3f} ± {1.96 * self.error:.3f}"


def neighbours(queries: Vectors, index: Vectors, own: NDArray[np.int64]) -> Found:
    """The nearest rows of an index by cosine, without each query's own.

    Args:
        queries: unit vectors [q, d].
        index: unit vectors [n, d].
        own: [q], the row of the index that is the query's own input.
    """
    count = min(NEIGHBOURS, len(index) - 1)
    parts = []
    for start in range(0, len(queries), ROWS):
        scores = queries[start : start + ROWS] @ index.T
        scores[np.arange(len(scores)), own[start : start + ROWS]] = -np.inf
        nearest = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(scores, nearest, axis=1), axis=1, kind="stable")
        parts.append(np.take_along_axis(nearest, order, axis=1))
    found: Found = np.concatenate(parts)
    return found


def recall(found: Found, truth: Found) -> NDArray[np.float64]:
    """For each query the share of ``truth`` that is in ``found``, float64 [q]."""
    shares: NDArray[np.float64] = (found[:, :, None] == truth[:, None, :]).any(axis=1).mean(axis=1)
    return shares


def own_first(queries: Vectors, index: Vectors, own: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each query 1 where its own input's row is the nearest of all, else 0; float64 [q]."""
    parts = [
        (queries[start : start + ROWS] @ index.T).argmax(axis=1) == own[start : start + ROWS]
        for start in range(0, len(queries), ROWS)
    ]
    return np.concatenate(parts).astype(np.float64)
