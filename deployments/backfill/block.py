"""What travels between the stages: one block of rows as one row of Ray Data, so that nothing ever splits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from deployments.backfill.ledger import BadRow
from deployments.backfill.sources.base import Id
from models.modalities.base import Row


class Carried(TypedDict):
    """A block under way. Errors travel as text: Ray would wrap them in its own."""

    number: int
    file: str  # where its rows stand
    rows: bytes  # an Arrow table: row, id, input_digest, and first `data` and `shape` of prepared inputs, then `vector`
    dtype: str  # of the prepared inputs
    bad: bytes  # JSON of ``BadRow``s
    kept: int
    engine_s: float
    error: str


def empty(number: int, file: str = "", error: str = "") -> Carried:
    """A block without rows, or one that failed."""
    return {
        "number": number,
        "file": file,
        "rows": b"",
        "dtype": "",
        "bad": b"[]",
        "kept": 0,
        "engine_s": 0.0,
        "error": error,
    }


def with_bad(carried: Carried, bad: Sequence[BadRow]) -> Carried:
    """The same block with more bad rows."""
    if not bad:
        return carried
    every = [*orjson.loads(carried["bad"]), *(one.model_dump() for one in bad)]
    return {**carried, "bad": orjson.dumps(every)}


def bad_of(carried: Carried) -> list[BadRow]:
    """Its bad rows."""
    return [BadRow.model_validate(one) for one in orjson.loads(carried["bad"])]


def id_type(*, strings: bool) -> pa.DataType:
    """The type of ids in blocks and sinks."""
    return pa.string() if strings else pa.int64()


def pack(table: pa.Table) -> bytes:
    """A table as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack(data: bytes) -> pa.Table:
    """The table that ``pack`` was given."""
    return pa.ipc.open_stream(data).read_all()


def prepared(
    numbers: Sequence[int], ids: Sequence[Id], digests: Sequence[str], rows: Sequence[Row], *, strings: bool
) -> pa.Table:
    """Prepared inputs of any shape, with the ids of their rows and the numbers of these in their file."""
    return pa.table(
        {
            "row": pa.array(numbers, pa.int64()),
            "id": pa.array(ids, id_type(strings=strings)),
            "input_digest": pa.array(digests, pa.string()),
            "data": pa.array([row.tobytes() for row in rows], pa.large_binary()),
            "shape": pa.array([list(row.shape) for row in rows], pa.list_(pa.int32())),
        }
    )


def rows_of(table: pa.Table, dtype: str) -> list[Row]:
    """The prepared inputs in a table."""
    pairs = zip(table.column("data"), table.column("shape").to_pylist(), strict=True)
    return [np.frombuffer(data.as_buffer(), dtype).reshape(shape) for data, shape in pairs]


def with_vectors(table: pa.Table, vectors: NDArray[np.float32]) -> pa.Table:
    """The rows of a table with float32 [n, d] instead of their inputs."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), pa.float32())
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return table.select(["id", "input_digest"]).append_column("vector", column)


def embedded(ids: Sequence[Id], digests: Sequence[str], vectors: NDArray[np.float32], *, strings: bool) -> pa.Table:
    """Rows with float32 [n, d] that somebody else computed."""
    table = pa.table({"id": pa.array(ids, id_type(strings=strings)), "input_digest": pa.array(digests, pa.string())})
    return with_vectors(table, vectors)
