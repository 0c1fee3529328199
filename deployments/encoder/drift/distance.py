"""How far a window of inputs is from the reference. Pure functions.

Every figure is what is beyond the differences that parts of the reference, as long as a window, have among themselves: traffic comes
in bursts, so that even a steady stream is never the same from one minute to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deployments.encoder.drift.window import Moments, Window, moments

MEAN, COVARIANCE = "mean", "covariance"
FEW = 20  # inputs that have a trait, without which nothing is said of it


@dataclass(frozen=True)
class Reference:
    """The frozen window."""

    traits: dict[str, NDArray[np.float64]]  # by name, sorted [n]
    moments: Moments
    usual: dict[str, float]  # how far its own parts are from its rest, by the name of the figure
    count: int


def freeze(window: Window, part: int) -> Reference:
    """Make a window the reference; ``part`` inputs are as long as the windows that will be compared with it."""
    found: dict[str, list[float]] = {}
    for first in range(0, len(window.vectors) - part + 1, part):
        rest = _plain(window.without(first, first + part))
        for name, value in _apart(window.part(first, first + part), *rest).items():
            found.setdefault(name, []).append(value)
    usual = {name: float(np.mean(values)) for name, values in found.items()}
    return Reference(*_plain(window), usual, len(window.vectors))


def distances(window: Window, reference: Reference) -> dict[str, float]:
    """How far a window is from the reference, by trait, ``mean`` and ``covariance``.

    Of a trait the distance of Kolmogorov and Smirnov, 0 to 1: the largest difference between the two parts of inputs that lie below
    any value. Of the vectors' mean how far it moved, and of their covariance the norm of its change: both as a part of what the
    reference's vectors differ by among themselves, 0 for no change.
    """
    apart = _apart(window, reference.traits, reference.moments)
    return {name: beyond(value, reference.usual.get(name, 0.0), name) for name, value in apart.items()}


def beyond(value: float, usual: float, name: str) -> float:
    """What a figure is beyond the usual; those of vectors are lengths, whose squares add up."""
    if name in (MEAN, COVARIANCE):
        return float(np.sqrt(max(value * value - usual * usual, 0.0)))
    return max(value - usual, 0.0)


def _plain(window: Window) -> tuple[dict[str, NDArray[np.float64]], Moments]:
    return {name: np.sort(values[~np.isnan(values)]) for name, values in window.traits.items()}, moments(window.vectors)


def _apart(window: Window, traits: dict[str, NDArray[np.float64]], other: Moments) -> dict[str, float]:
    found = {}
    for name, values in window.traits.items():
        mine = np.sort(values[~np.isnan(values)])
        if name in traits and min(len(mine), len(traits[name])) >= FEW:
            found[name] = largest_gap(mine, traits[name])
    now = moments(window.vectors)
    spread = float(np.sqrt(np.trace(other.covariance))) or 1.0
    found[MEAN] = float(np.linalg.norm(now.mean - other.mean)) / spread
    size = float(np.linalg.norm(other.covariance)) or 1.0
    found[COVARIANCE] = float(np.linalg.norm(now.covariance - other.covariance)) / size
    return found


def largest_gap(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The distance of Kolmogorov and Smirnov of two sorted samples, 0 to 1."""
    at = np.concatenate([first, second])
    below = [np.searchsorted(one, at, side="right") / len(one) for one in (first, second)]
    return float(np.abs(below[0] - below[1]).max())
