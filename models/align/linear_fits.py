"""Linear maps from one space into another, fitted to pairs of vectors. All are closed forms; float64 inside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.engine.types import Vectors
from models.graph.space_map import SpaceMap


def procrustes(new: Vectors, old: Vectors) -> SpaceMap:
    """The rotation that brings ``new`` closest to ``old``; of different dimensions, the best with orthonormal rows or columns.

    Args:
        new: unit vectors [n, k] of the space that is mapped.
        old: unit vectors [n, m] of the same inputs, in the space that they are mapped into.
    """
    left, _, right = np.linalg.svd(new.T.astype(np.float64) @ old.astype(np.float64), full_matrices=False)
    return SpaceMap((left @ right).astype(np.float32), np.zeros(old.shape[1], np.float32))


class Ridge:
    """Affine maps by least squares with a penalty on the weight, for any strength from one decomposition."""

    def __init__(self, new: Vectors, old: Vectors) -> None:
        """Prepare the fits of [n, k] to [n, m]."""
        x, y = new.astype(np.float64), old.astype(np.float64)
        self._means = x.mean(axis=0), y.mean(axis=0)
        x, y = x - self._means[0], y - self._means[1]
        self._values, self._axes = np.linalg.eigh(x.T @ x / len(x))  # [k], [k, k]
        self._cross = self._axes.T @ (x.T @ y / len(x))  # [k, m]

    def affine(self, strength: float) -> SpaceMap:
        """The map at a strength of the penalty, as a share of the mean variance of a dimension."""
        return self._with_bias(self._weight(strength))

    def low_rank(self, strength: float, rank: int) -> SpaceMap:
        """The same with a weight of at most ``rank``: what it predicts is kept along the directions in which it varies most."""
        weight = self._weight(strength)
        along = self._axes.T @ weight
        _, directions = np.linalg.eigh(along.T @ (self._values[:, None] * along))  # of the predictions' covariance
        kept = directions[:, -rank:]
        return self._with_bias(weight @ kept @ kept.T)

    def _weight(self, strength: float) -> NDArray[np.float64]:
        """[k, m]. A penalty that is never quite 0 keeps directions without variance from having a say."""
        penalty = max(strength, 1e-9) * self._values.mean()
        weight: NDArray[np.float64] = self._axes @ (self._cross / (np.maximum(self._values, 0) + penalty)[:, None])
        return weight

    def _with_bias(self, weight: NDArray[np.float64]) -> SpaceMap:
        bias = self._means[1] - self._means[0] @ weight
        return SpaceMap(weight.astype(np.float32), bias.astype(np.float32))
