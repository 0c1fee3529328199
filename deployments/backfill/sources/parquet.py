"""Parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from deployments.backfill.sources.base import READ_ERRORS, Planned, Read, Slice, Source, changed, unreadable, wrong_type
from deployments.backfill.sources.column_types import check_columns, is_string, value_of
from deployments.backfill.storage import fingerprint, listed, opened

READ_ROWS = 4096  # at a time, of ids; of pictures, as many as a block has
# Of a column's bytes, at a time: without it pyarrow holds all that a row group has of it once more, for pictures gigabytes.
READ_BYTES = 4 << 20


class ParquetSource(Source):
    """Rows of Parquet files; slices are counted in rows."""

    suffixes = frozenset({".parquet", ".pq"})

    def fingerprint(self) -> dict[str, str]:
        """Size and time of each file."""
        return {info.path: fingerprint(info) for info in listed(self.uri, self.suffixes)}

    def plan(self, rows: int, *, pictures: bool | None) -> Iterator[Planned]:
        """Cut each file by the row counts in its footer; of its columns only the ids are read."""
        number = 0
        for position, info in enumerate(listed(self.uri, self.suffixes)):
            try:
                with self._open(info.path) as file:
                    self._check(file.schema_arrow, info.path, pictures=pictures, first=position == 0)
                    total = file.metadata.num_rows
                    slices = [
                        Slice(number + i, info.path, start, start, min(start + rows, total), min(rows, total - start))
                        for i, start in enumerate(range(0, total, rows))
                    ]
                    batches = file.iter_batches(READ_ROWS, columns=[self.id])
                    for piece, table in zip(slices, cut(batches, 0, slices, info.path), strict=True):
                        yield Planned(piece, table.column(self.id).to_pylist())
                    number += len(slices)
            except READ_ERRORS as error:
                raise unreadable(info.path, error) from error

    def read(self, slices: Sequence[Slice]) -> Iterator[Read]:
        """Read the row groups that hold these rows."""
        path, start, stop = slices[0].file, slices[0].start, slices[-1].stop
        try:
            with self._open(path) as file:
                groups, first = _groups(file.metadata, start, stop)
                rows = min(READ_ROWS, max(piece.rows for piece in slices))
                batches = file.iter_batches(rows, row_groups=groups, columns=list({self.id, self.column}))
                for piece, table in zip(slices, cut(batches, first, slices, path), strict=True):
                    values = table.column(self.column).to_pylist()
                    yield Read(piece, table.column(self.id).to_pylist(), [value_of(value) for value in values])
        except READ_ERRORS as error:
            raise unreadable(path, error) from error

    def _open(self, path: str) -> pq.ParquetFile:
        return pq.ParquetFile(opened(self.uri, path), buffer_size=READ_BYTES)

    def _check(self, schema: pa.Schema, path: str, *, pictures: bool | None, first: bool) -> None:
        check_columns(schema, path, self.id, self.column, pictures=pictures)
        ids = schema.field(self.id).type
        if first:
            self.string_ids = is_string(ids)
        elif self.string_ids != is_string(ids):
            raise wrong_type(
                path, self.id, str(ids), f"{'strings' if self.string_ids else 'integers'}, as in the first file,"
            )


def cut(batches: Iterable[pa.RecordBatch], at: int, slices: Sequence[Slice], path: str) -> Iterator[pa.Table]:
    """The tables of slices from a stream of batches whose first row is number ``at`` of the file.

    Raises:
        JobError: the stream ends before them.
    """
    waiting = iter(batches)
    batch = next(waiting, None)
    for piece in slices:
        parts, need = [], piece.start
        while need < piece.stop:
            if batch is None:
                raise changed(path)
            if need >= at + batch.num_rows:
                at += batch.num_rows
                batch = next(waiting, None)
                continue
            end = min(piece.stop, at + batch.num_rows)
            parts.append(batch.slice(need - at, end - need))
            need = end
        yield pa.Table.from_batches(parts)


def _groups(metadata: pq.FileMetaData, start: int, stop: int) -> tuple[list[int], int]:
    """The row groups that hold rows ``start`` to ``stop``, and the number of their first row."""
    groups: list[int] = []
    first = at = 0
    for group in range(metadata.num_row_groups):
        end = at + metadata.row_group(group).num_rows
        if at < stop and end > start:
            first = first if groups else at
            groups.append(group)
        at = end
    return groups, first
