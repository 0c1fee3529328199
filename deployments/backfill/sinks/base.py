"""Where vectors go. A row is known by its id, the model and the hash of the artifact: written again, it is replaced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import pyarrow as pa

from deployments.backfill.block import id_type
from deployments.backfill.job import StoredType
from deployments.backfill.stored_vector import as_column, stored_type
from deployments.backfill.uris import absolute


@dataclass(frozen=True)
class Stamp:
    """What all rows of a run say of themselves."""

    run: int
    reference: str
    hash: str
    numerics: str
    dimensions: int
    stored_as: StoredType
    string_ids: bool


class Sink(ABC):
    """One place. It travels to the workers, so it holds no more than its name."""

    writers: ClassVar[int] = 2  # blocks that are written at a time

    def __init__(self, uri: str) -> None:
        """Name it."""
        self.uri = absolute(uri)

    @classmethod
    def takes(cls, uri: str) -> bool:  # noqa: ARG003 - each form looks at another part
        """Whether a URI names a sink of this form."""
        return False

    @property
    @abstractmethod
    def state(self) -> str:
        """The folder where a job's notes are kept unless it says otherwise."""

    def require(self, stored_as: StoredType) -> None:  # noqa: B027 - files keep everything
        """Refuse a form of vectors that is not kept here, before anything is asked or started.

        Raises:
            JobError: it is none.
        """

    def last_run(self) -> int:
        """The highest number of a run that a place of rows is named by; 0 where rows are known by their keys alone.

        Raises:
            JobError: it cannot be read.
        """
        return 0

    def files(self) -> str | None:
        """How a file of rows would be called, where other readers of files may take it for one of theirs."""
        return None

    @abstractmethod
    def begin(self, stamp: Stamp) -> None:
        """Make ready for rows.

        Raises:
            JobError: it cannot be written, or holds what these rows do not fit.
        """

    @abstractmethod
    def write(self, stamp: Stamp, number: int, rows: pa.Table) -> None:
        """Write a block, all of it or nothing; the same block again replaces it.

        Args:
            stamp: of the run.
            number: of the block.
            rows: as ``sink_rows`` makes them.

        Raises:
            JobError: the disk is full, or the server refuses.
        """

    def count(self, hash: str) -> int:  # noqa: A002 - as the column is called
        """How many rows of one artifact are there.

        Raises:
            JobError: it cannot be read.
        """
        return sum(table.num_rows for table in self.read(hash=hash))

    def end(self, stamp: Stamp) -> None:  # noqa: B027 - most sinks replace rows in ``write``
        """After the last block: remove what its rows replaced, where ``write`` did not."""

    @abstractmethod
    def read(self, *, vectors: bool = False, hash: str | None = None) -> Iterator[pa.Table]:  # noqa: A002 - as the column is called
        """Rows that are there: id, model, hash, numerics, time, input_digest, and vector where asked for.

        Raises:
            JobError: there is none, or it cannot be read.
        """


COLUMNS = ["id", "model", "hash", "numerics", "time", "input_digest"]  # without the vector


def sink_rows(stamp: Stamp, rows: pa.Table) -> pa.Table:
    """Vectors as sinks keep them: each row says what computed it, and when.

    Args:
        stamp: of the run.
        rows: id, input_digest and float32 vectors.
    """
    count = rows.num_rows
    values = rows.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    now = datetime.now(UTC)
    return pa.table(
        {
            "id": rows.column("id"),
            "vector": as_column(values.reshape(count, stamp.dimensions), stamp.stored_as),
            "model": pa.array([stamp.reference] * count, pa.string()),
            "hash": pa.array([stamp.hash] * count, pa.string()),
            "numerics": pa.array([stamp.numerics] * count, pa.string()),
            "time": pa.array([now] * count, pa.timestamp("us", "UTC")),
            "input_digest": rows.column("input_digest"),
        }
    )


def empty_rows(stamp: Stamp) -> pa.Table:
    """No rows, with the columns and types of ``sink_rows``."""
    kinds = {name: pa.string() for name in COLUMNS}
    kinds |= {"id": id_type(strings=stamp.string_ids), "time": pa.timestamp("us", "UTC")}
    kinds["vector"] = stored_type(stamp.stored_as, stamp.dimensions)
    order = ("id", "vector", "model", "hash", "numerics", "time", "input_digest")
    return pa.schema([(name, kinds[name]) for name in order]).empty_table()
