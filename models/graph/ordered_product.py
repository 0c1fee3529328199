"""Products for the builders of graphs, the same bits on every processor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ordered_product(vector: NDArray[Any], matrix: NDArray[Any]) -> NDArray[np.float64]:
    """``vector @ matrix``, [k] and [k, m] → [m], in float64 and summed row after row.

    BLAS sums in an order that the processor's registers decide. What is folded into a graph enters the artifact's hash, and
    machines with different processors would give one version different hashes.
    """
    result = np.zeros(matrix.shape[1])
    for factor, row in zip(np.asarray(vector, np.float64), np.asarray(matrix, np.float64), strict=True):
        result += factor * row
    return result
