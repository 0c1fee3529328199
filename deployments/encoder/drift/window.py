"""A bounded number of inputs as drift sees them: their traits and their vectors. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Traits = Mapping[str, float]  # of one input, such as its tokens; a name that it lacks does not apply to it


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of vectors."""

    mean: NDArray[np.float64]  # [d]
    covariance: NDArray[np.float32]  # [d, d]


@dataclass(frozen=True)
class Window:
    """Inputs in the order in which they came."""

    traits: dict[str, NDArray[np.float64]]  # by name, [n]; NaN where it does not apply
    vectors: NDArray[np.float32]  # [n, d]

    @classmethod
    def of(cls, rows: Sequence[tuple[Traits, NDArray[np.float32]]]) -> Window:
        """Gather single inputs."""
        names = sorted({name for traits, _ in rows for name in traits})
        traits = {name: np.array([one.get(name, np.nan) for one, _ in rows], np.float64) for name in names}
        return cls(traits, np.stack([vector for _, vector in rows]))

    def part(self, first: int, last: int) -> Window:
        """Some inputs that came one after the other."""
        return Window({name: values[first:last] for name, values in self.traits.items()}, self.vectors[first:last])

    def without(self, first: int, last: int) -> Window:
        """All others."""
        kept = np.r_[0:first, last : len(self.vectors)]
        return Window({name: values[kept] for name, values in self.traits.items()}, self.vectors[kept])


def moments(vectors: NDArray[np.float32]) -> Moments:
    """Of vectors [n, d], n at least 2."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    apart = vectors - mean.astype(np.float32)
    return Moments(mean, (apart.T @ apart / (len(vectors) - 1)).astype(np.float32))
