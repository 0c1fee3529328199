"""Vectors as the numbers and bytes that a request asks for.

| ``output_dtype`` | a component ``x``, from -1 to 1 | back |
|---|---|---|
| ``float`` | float32 | |
| ``int8`` | ``round(127 x)``, int8 | divide by 127 |
| ``uint8`` | ``round(127 x) + 128``, uint8 | subtract 128, divide by 127 |
| ``ubinary`` | a bit, 1 where ``x`` is above 0; eight to a byte, the first one highest, uint8 | signs only |
| ``binary`` | the same bytes less 128, int8 | signs only |

The scale is the same for every vector, so that inner products of two of them may be compared.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.http.field_values import Dtype, Encoding
from models.errors import InputError

SCALE = 127
OFFSET = 128
BITS = 8  # of a byte
LONGEST = 1 + 1e-3  # of a component of a vector of length 1, with what rounding adds


def as_asked(vectors: NDArray[np.float32], dtype: Dtype) -> NDArray[Any]:
    """Vectors as the numbers that a request asks for.

    Args:
        vectors: [n, d].
        dtype: of the numbers.

    Returns:
        [n, d], or [n, d / 8] where signs are packed.

    Raises:
        InputError: these vectors have no such numbers.
    """
    if dtype == "float":
        return vectors.astype("<f4", copy=False)
    if dtype in ("binary", "ubinary"):
        if vectors.shape[1] % BITS:
            raise InputError(
                f"output_dtype {dtype!r} packs eight dimensions into a byte, and there are {vectors.shape[1]}; ask for a multiple of 8",
                param="output_dtype",
            )
        packed = np.packbits(vectors > 0, axis=1)
        return packed if dtype == "ubinary" else (packed.astype(np.int16) - OFFSET).astype(np.int8)
    if vectors.size and np.abs(vectors).max() > LONGEST:
        raise InputError(
            f"output_dtype {dtype!r} needs vectors of length 1, and this model's are longer", param="output_dtype"
        )
    scaled = np.rint(vectors * SCALE).clip(-SCALE, SCALE)
    return scaled.astype(np.int8) if dtype == "int8" else (scaled + OFFSET).astype(np.uint8)


def rows_of(vectors: NDArray[np.float32], dtype: Dtype, encoding: Encoding) -> list[Any]:
    """One value for each vector, as JSON holds it: numbers, or base64 of their bytes."""
    numbers = as_asked(vectors, dtype)
    if encoding == "float":
        return list(numbers)
    content, size = memoryview(numbers.tobytes()), numbers.shape[1] * numbers.itemsize
    return [b2a_base64(content[at : at + size], newline=False).decode("ascii") for at in range(0, len(content), size)]
