"""How vectors are stored: as they were computed, or smaller."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from deployments.backfill.job import StoredType

INT8_SCALE = 127


def stored_type(stored_as: StoredType, dimensions: int) -> pa.DataType:
    """The Arrow type of a stored vector."""
    if stored_as == "binary":
        return pa.binary((dimensions + 7) // 8)
    kinds = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8()}
    return pa.list_(kinds[stored_as], dimensions)


def converted(vectors: NDArray[np.float32], stored_as: StoredType) -> NDArray[Any]:
    """Vectors as they are stored.

    Args:
        vectors: float32 [n, d].
        stored_as: ``int8`` is 127 times the value, rounded; ``binary`` is one bit a dimension, 1 where it is above 0, the first
            dimension in the highest bit of the first byte.

    Returns:
        [n, d], or uint8 [n, d / 8] for binary.
    """
    if stored_as == "binary":
        return np.packbits(vectors > 0, axis=1)
    if stored_as == "int8":
        return np.clip(np.rint(vectors * INT8_SCALE), -INT8_SCALE, INT8_SCALE).astype(np.int8)
    return vectors.astype(stored_as)


def as_column(vectors: NDArray[np.float32], stored_as: StoredType) -> pa.Array:
    """Vectors as an Arrow column of ``stored_type``."""
    values = converted(vectors, stored_as)
    kind = stored_type(stored_as, vectors.shape[1])
    if stored_as == "binary":
        return pa.array([row.tobytes() for row in values], kind)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
