"""Whether traffic was split as the weights say (sample ratio mismatch). Pure functions.

A split that is off by more than chance means that some of one version's requests are missing: what is compared then is not what
was asked, whichever version seems better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

ALARM = 0.001  # as usual for this check: it is made again and again, and a true mismatch is far below
EXPECTED = 5.0  # of each version, without which chi-squared says nothing


@dataclass(frozen=True)
class Split:
    """How many came to each version, how many should have, and how probable a difference as large is by chance."""

    counted: dict[str, float]
    expected: dict[str, float]
    p: float | None  # None: too few to say

    @property
    def mismatch(self) -> bool:
        """Whether chance does not explain it."""
        return self.p is not None and self.p < ALARM


def split(counted: Mapping[str, float], shares: Mapping[str, float]) -> Split:
    """Compare counts with shares by Pearson's chi-squared test.

    Args:
        counted: by version, of things that were drawn independently: unkeyed requests, or keys.
        shares: by version, of the traffic; relative to their sum.
    """
    weighed = {version: share for version, share in shares.items() if share > 0}
    counts = {version: counted.get(version, 0.0) for version in weighed}
    total, whole = sum(counts.values()), sum(weighed.values())
    expected = {version: total * share / whole for version, share in weighed.items()}
    if len(weighed) < 2 or min(expected.values()) < EXPECTED:
        return Split(counts, expected, None)
    apart = sum((counts[version] - wanted) ** 2 / wanted for version, wanted in expected.items())
    return Split(counts, expected, chi_squared_tail(apart, len(weighed) - 1))


def chi_squared_tail(value: float, freedom: int) -> float:
    """The probability of a chi-squared value as large or larger; exact, by its recursion over degrees of freedom."""
    half = value / 2
    if freedom % 2:
        tail, order, term = math.erfc(math.sqrt(half)), 1, math.sqrt(half / math.pi) * 2 * math.exp(-half)
    else:
        tail, order, term = math.exp(-half), 2, half * math.exp(-half)
    while order < freedom:
        tail += term
        order += 2
        term *= half / (order / 2)
    return min(tail, 1.0)
