"""A Lance dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pyarrow as pa

from deployments.backfill.extras import needed
from deployments.backfill.sinks.base import COLUMNS, Sink, Stamp, empty_rows
from models.errors import JobError

SUFFIX = ".lance"
KEY = ["id", "model", "hash"]
READ_ROWS = 4096
ROWS_PER_FRAGMENT = 1 << 20  # after the last block: a fragment for each block would slow every reader


class LanceSink(Sink):
    """``NAME.lance``, here or at a URI; a block is one version of the dataset."""

    writers: ClassVar[int] = 1  # versions follow one another: two writers would try again and again

    @classmethod
    def takes(cls, uri: str) -> bool:
        """Whether its name ends so."""
        return uri.rstrip("/").endswith(SUFFIX)

    @property
    def state(self) -> str:
        """Beside the dataset, which has only files of its own inside."""
        return f"{self.uri.rstrip('/')}-backfill"

    def begin(self, stamp: Stamp) -> None:
        """Make an empty dataset; refuse one with columns of other types."""
        wanted = empty_rows(stamp).schema
        with _library(self.uri) as lance:
            there = _opened(lance, self.uri)
            if there is None:
                lance.write_dataset(empty_rows(stamp), self.uri, mode="create")
                return
        for name in ("id", "vector"):
            kind = there.schema.field(name).type if name in there.schema.names else None
            if kind != wanted.field(name).type:
                raise JobError(
                    f"{self.uri}: column {name} is {kind or 'missing'}, and these are {wanted.field(name).type}: name another sink"
                )

    def write(self, stamp: Stamp, number: int, rows: pa.Table) -> None:  # noqa: ARG002 - rows are known by their keys
        """Write a block as one version."""
        with _library(self.uri) as lance:
            merge = lance.dataset(self.uri).merge_insert(KEY)
            merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def end(self, stamp: Stamp) -> None:  # noqa: ARG002 - rows were replaced in ``write``
        """Put the blocks' fragments together."""
        with _library(self.uri) as lance:
            lance.dataset(self.uri).optimize.compact_files(target_rows_per_fragment=ROWS_PER_FRAGMENT)

    def count(self, hash: str) -> int:  # noqa: A002 - as the column is called
        """Count without reading vectors."""
        with _library(self.uri) as lance:
            there = _opened(lance, self.uri)
            return 0 if there is None else int(there.count_rows(f"hash = '{_hex(hash)}'"))

    def read(self, *, vectors: bool = False, hash: str | None = None) -> Iterator[pa.Table]:  # noqa: A002 - as the column is called
        """The rows, some thousand at a time."""
        where = None if hash is None else f"hash = '{_hex(hash)}'"
        with _library(self.uri) as lance:
            there = _opened(lance, self.uri)
            if there is None:
                return
            columns = [*COLUMNS, *(["vector"] if vectors else [])]
            for batch in there.to_batches(columns=columns, filter=where, batch_size=READ_ROWS):
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])


@contextmanager
def _library(uri: str) -> Iterator[Any]:
    """Lance, whose errors become ours."""
    lance = needed("lance", "lance", SUFFIX)
    try:
        yield lance
    except (OSError, ValueError, RuntimeError, pa.ArrowException) as error:
        said = str(error).splitlines()
        raise JobError(f"{uri}: {said[0] if said else type(error).__name__}") from error


def _opened(lance: Any, uri: str) -> Any:
    """The dataset; None where there is none."""
    try:
        return lance.dataset(uri)
    except (ValueError, FileNotFoundError) as error:
        if "not found" in str(error).lower():
            return None
        raise


def _hex(hash: str) -> str:  # noqa: A002 - as the column is called
    return "".join(one for one in hash if one in "0123456789abcdef")
