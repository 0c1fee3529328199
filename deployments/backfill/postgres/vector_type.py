"""The types of pgvector: their names, and their form on the wire."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from deployments.backfill.job import StoredType
from models.errors import JobError

NAMES: dict[StoredType, str] = {"float32": "vector", "float16": "halfvec", "binary": "bit"}
ON_WIRE = {"vector": ">f4", "halfvec": ">f2"}
FROM_NAME: dict[str, StoredType] = {name: stored_as for stored_as, name in NAMES.items()}


def vector_type(stored_as: StoredType, dimensions: int | None) -> str:
    """The server's type of a stored vector; without dimensions its bare name.

    Raises:
        JobError: pgvector has none.
    """
    if stored_as not in NAMES:
        raise JobError(f"pgvector has no type for {stored_as}; --store-as may be {', '.join(NAMES)} there")
    return NAMES[stored_as] if dimensions is None else f"{NAMES[stored_as]}({dimensions})"


def to_wire(vectors: pa.Array, stored_as: StoredType, dimensions: int) -> Iterator[bytes]:
    """Each vector of a column as the server takes it in binary form."""
    if stored_as == "binary":
        head = struct.pack(">i", dimensions)
        yield from (head + one.as_py() for one in vectors)
        return
    values = vectors.flatten().to_numpy(zero_copy_only=False).astype(ON_WIRE[NAMES[stored_as]])
    head = struct.pack(">HH", dimensions, 0)
    yield from (head + row.tobytes() for row in values.reshape(-1, dimensions))


def from_wire(values: Sequence[bytes], kind: str) -> tuple[StoredType, NDArray[Any]]:
    """What a server's ``vector_send`` and its like gave: how it is stored, and the vectors.

    Args:
        values: one for each row.
        kind: the column's type, such as ``vector(384)``.

    Returns:
        [n, d] of float32 or float16, or uint8 [n, d / 8].

    Raises:
        JobError: the column holds something else.
    """
    name = kind.partition("(")[0]
    if name not in FROM_NAME:
        raise JobError(f"column vector is {kind}, which is none of {', '.join(FROM_NAME)}")
    if name == "bit":
        return "binary", np.stack([np.frombuffer(bytes(one)[4:], np.uint8) for one in values])
    rows = np.stack([np.frombuffer(bytes(one)[4:], ON_WIRE[name]) for one in values])
    return FROM_NAME[name], rows.astype(rows.dtype.newbyteorder("="))
