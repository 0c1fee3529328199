"""A Lance dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pyarrow as pa

from deployments.backfill.duplicate_ids import DuplicateIds, keys
from deployments.backfill.extras import needed
from deployments.backfill.object_store import adapt, lance_options
from deployments.backfill.sinks.base import COLUMNS, Sink, Stamp, empty_rows
from deployments.backfill.sources.base import Id
from deployments.backfill.uris import parted, without_options
from models.errors import JobError

SUFFIX = ".lance"
DELETED = 10_000  # rows at a time
READ_ROWS = 4096
ROWS_PER_FRAGMENT = 1 << 20  # after the last block: a fragment for each block would slow every reader


class LanceSink(Sink):
    """``NAME.lance``, here or at a URI; a block is one version of the dataset."""

    writers: ClassVar[int] = 1  # versions follow one another: two writers would only try again

    def __init__(self, uri: str) -> None:
        """Name it."""
        super().__init__(without_options(uri, "Lance"))

    @classmethod
    def takes(cls, uri: str) -> bool:
        """Whether its name ends so."""
        return parted(uri)[0].rstrip("/").endswith(SUFFIX)

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
                lance.write_dataset(empty_rows(stamp), self.uri, mode="create", storage_options=lance_options(self.uri))
                return
        for name in ("id", "vector"):
            kind = there.schema.field(name).type if name in there.schema.names else None
            if kind != wanted.field(name).type:
                raise JobError(
                    f"{self.uri}: column {name} is {kind or 'missing'}, and these are {wanted.field(name).type}: name another sink"
                )

    def write(self, stamp: Stamp, number: int, rows: pa.Table) -> None:  # noqa: ARG002 - rows are known by their keys
        """Append a block as one version. Looking for what it replaces would read all keys for each block; ``end`` does once."""
        with _library(self.uri) as lance:
            lance.write_dataset(rows, self.uri, mode="append", storage_options=lance_options(self.uri))

    def end(self, stamp: Stamp) -> None:
        """Remove the rows that later ones with the same key replaced, and put the blocks' fragments together."""
        with _library(self.uri) as lance:
            dataset = lance.dataset(self.uri, storage_options=lance_options(self.uri))
            where = f"hash = '{_hex(stamp.hash)}' and model = '{stamp.reference}'"
            replaced = _replaced(dataset, where)
            for start in range(0, len(replaced), DELETED):
                dataset.delete(f"_rowid in ({', '.join(map(str, replaced[start : start + DELETED]))})")
            dataset.optimize.compact_files(target_rows_per_fragment=ROWS_PER_FRAGMENT)

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
    adapt(uri)
    try:
        yield lance
    except (OSError, ValueError, RuntimeError, pa.ArrowException) as error:
        said = str(error).splitlines()
        raise JobError(f"{uri}: {said[0] if said else type(error).__name__}") from error


def _opened(lance: Any, uri: str) -> Any:
    """The dataset; None where there is none."""
    try:
        return lance.dataset(uri, storage_options=lance_options(uri))
    except (ValueError, FileNotFoundError) as error:
        if "not found" in str(error).lower():
            return None
        raise


def _hex(hash: str) -> str:  # noqa: A002 - as the column is called
    return "".join(one for one in hash if one in "0123456789abcdef")


def _replaced(dataset: Any, where: str) -> list[int]:
    """The numbers of rows of which there is a later one with the same id; 8 bytes are kept of each row."""

    def batches(*columns: str) -> Iterator[pa.RecordBatch]:
        return iter(dataset.to_batches(columns=list(columns), filter=where, with_row_id=True, batch_size=READ_ROWS))

    ids = DuplicateIds()
    for batch in batches("id"):
        ids.add(batch.column("id").to_pylist())
    suspects = ids.suspects()
    if not suspects:
        return []
    latest: dict[Id, tuple[Any, int]] = {}
    replaced: list[int] = []
    for batch in batches("id", "time"):
        found = batch.column("id").to_pylist()
        for one, key, row in zip(
            found,
            keys(found).tolist(),
            zip(batch.column("time").to_pylist(), batch.column("_rowid").to_pylist(), strict=True),
            strict=True,
        ):
            if key not in suspects:
                continue
            before = latest.get(one)
            if before is not None:
                replaced.append(min(before, row)[1])
            latest[one] = row if before is None else max(before, row)
    return replaced
