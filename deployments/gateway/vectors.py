"""The vectors of one answer: stacked, shortened, and of the length that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deployments.contract.embedding import Embedding
from deployments.gateway.turns import SLICE, Turns
from models.errors import InputError

UNIT = 1e-3  # that a length may be off 1


async def stacked(found: Sequence[Embedding], turns: Turns) -> NDArray[np.float32]:
    """The vectors of embeddings as rows, float32 [n, d]; of many by turns, so that the event loop is not held up."""
    if len(found) == 1:
        return found[0].vector[np.newaxis]
    if len(found) <= SLICE:
        return np.concatenate([one.vector for one in found]).reshape(len(found), -1)  # np.stack takes 1 µs a vector
    rows = np.empty((len(found), len(found[0].vector)), np.float32)
    async for part in turns.slices(len(found)):
        np.stack([one.vector for one in found[part]], out=rows[part])
    return rows


def of_length_one(vectors: NDArray[np.float32], *, wanted: bool) -> NDArray[np.float32]:
    """Vectors, float32 [n, d], of length 1 where a request wants that.

    Raises:
        InputError: it wants them as they are before, and the model makes none such.
    """
    unit = bool(np.all(np.abs(np.linalg.norm(vectors, axis=1) - 1) < UNIT))
    if unit and not wanted:
        raise InputError("normalize: this model's vectors have length 1; leave it out, or say true", param="normalize")
    return vectors if unit or not wanted else shortened(vectors, vectors.shape[1])


def shortened(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The first ``dimensions`` of each vector, brought back to length 1: float32 [n, dimensions]."""
    cut = vectors[:, :dimensions].astype(np.float64)
    unit: NDArray[np.float32] = (cut / np.linalg.norm(cut, axis=1, keepdims=True).clip(1e-12)).astype(np.float32)
    return unit
