"""A small network beside a linear map, trained by Adam in numpy until held-back pairs no longer come closer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.engine.types import Vectors
from models.graph.space_map import Residual, SpaceMap

Arrays = dict[str, NDArray[np.float32]]

HIDDEN = 512  # units; of 384 dimensions three times as many numbers as the linear map has
EPOCHS, PATIENCE = 60, 6  # passes over the pairs at most; passes without progress after which it ends
BATCH = 128
RATE, DECAY = 1e-3, 1e-4
BETAS, EPSILON = (0.9, 0.999), 1e-8  # Adam's usual ones


def residual(
    start: SpaceMap, pairs: tuple[Vectors, Vectors], kept_back: tuple[Vectors, Vectors], seed: int
) -> SpaceMap:
    """``start`` with a residual network, which begins at zero, and ``start`` itself trained on.

    Args:
        start: a linear map.
        pairs: unit vectors [n, k] and [n, m] of the same inputs.
        kept_back: others, which decide when to end: the best state by them is returned.
        seed: of the first weights and the order of the pairs.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    k, m = start.weight.shape
    state: Arrays = {
        "weight": start.weight.copy(),
        "bias": start.bias.copy(),
        "inner": (generator.standard_normal((k, HIDDEN)) * np.sqrt(2 / k)).astype(np.float32),
        "inner_bias": np.zeros(HIDDEN, np.float32),
        "outer": np.zeros((HIDDEN, m), np.float32),
    }
    state["inner"] *= np.sqrt(k)  # entries of unit vectors are of the size 1 / sqrt(k)
    adam = _Adam(state)
    best, closest, since = _map(state), closeness(_map(state), *kept_back), 0
    for _ in range(EPOCHS):
        for rows in np.array_split(generator.permutation(len(pairs[0])), max(1, len(pairs[0]) // BATCH)):
            adam.step(_gradients(state, pairs[0][rows], pairs[1][rows]))
        now = _map(state)
        close = closeness(now, *kept_back)
        since += 1
        if close > closest:
            best, closest, since = now, close, 0
        if since == PATIENCE:
            break
    return best


def closeness(mapping: SpaceMap, new: Vectors, old: Vectors) -> float:
    """The mean cosine between mapped vectors and those that they should be."""
    return float(np.einsum("nd,nd->n", mapping(new).astype(np.float64), old.astype(np.float64)).mean())


def _map(state: Mapping[str, NDArray[np.float32]]) -> SpaceMap:
    copied = {name: array.copy() for name, array in state.items()}
    inner = Residual(copied["inner"], copied["inner_bias"], copied["outer"])
    return SpaceMap(copied["weight"], copied["bias"], inner)


def _gradients(state: Arrays, x: Vectors, y: Vectors) -> Arrays:
    """Of the mean of 1 - cosine over a batch."""
    before = x @ state["inner"] + state["inner_bias"]
    hidden = np.maximum(before, 0)
    out = x @ state["weight"] + state["bias"] + hidden @ state["outer"]
    lengths = np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    ahead = out / lengths
    cosines = np.einsum("nd,nd->n", ahead, y)[:, None]
    slope = (cosines * ahead - y) / (lengths * len(x))
    back = (slope @ state["outer"].T) * (before > 0)
    return {
        "weight": x.T @ slope,
        "bias": slope.sum(axis=0),
        "inner": x.T @ back,
        "inner_bias": back.sum(axis=0),
        "outer": hidden.T @ slope,
    }


class _Adam:
    """Adam with decoupled decay of the matrices."""

    def __init__(self, state: Arrays) -> None:
        self._state = state
        self._first = {name: np.zeros_like(array) for name, array in state.items()}
        self._second = {name: np.zeros_like(array) for name, array in state.items()}
        self._steps = 0

    def step(self, gradients: Arrays) -> None:
        """Change the state by one step."""
        self._steps += 1
        rate = RATE * np.sqrt(1 - BETAS[1] ** self._steps) / (1 - BETAS[0] ** self._steps)
        for name, gradient in gradients.items():
            first, second, array = self._first[name], self._second[name], self._state[name]
            first += (1 - BETAS[0]) * (gradient - first)
            second += (1 - BETAS[1]) * (gradient * gradient - second)
            array -= (rate * first / (np.sqrt(second) + EPSILON)).astype(np.float32)
            if array.ndim == 2:
                array *= np.float32(1 - RATE * DECAY)
