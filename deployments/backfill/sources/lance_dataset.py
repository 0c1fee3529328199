"""A Lance dataset, as it is when the job begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from deployments.backfill.extras import needed
from deployments.backfill.object_store import adapt, lance_options
from deployments.backfill.sources.base import Planned, Read, Slice, Source, unreadable
from deployments.backfill.sources.column_types import check_columns, is_string, value_of
from deployments.backfill.sources.parquet import cut
from deployments.backfill.uris import parted, without_options

READ_ROWS = 4096  # at a time
ERRORS = (OSError, ValueError, RuntimeError)  # what Lance raises; Arrow's are of these kinds


class LanceSource(Source):
    """``NAME.lance``; slices are counted in rows of one version of it."""

    _version: int | None = None

    @classmethod
    def takes(cls, uri: str) -> bool:
        """Whether its name ends so."""
        return parted(uri)[0].rstrip("/").endswith(".lance")

    def fingerprint(self) -> dict[str, str]:
        """Its version."""
        return {self.uri: f"version {self._open().version}"}

    def plan(self, rows: int, *, pictures: bool | None) -> Iterator[Planned]:
        """Cut it; of its columns only the ids are read."""
        try:
            dataset = self._open()
            self._version = dataset.version
            check_columns(dataset.schema, self.uri, self.id, self.column, pictures=pictures)
            self.string_ids = is_string(dataset.schema.field(self.id).type)
            total = dataset.count_rows()
            slices = [
                Slice(i, self.uri, start, start, min(start + rows, total), min(rows, total - start))
                for i, start in enumerate(range(0, total, rows))
            ]
            batches = dataset.to_batches(columns=[self.id], batch_size=READ_ROWS, scan_in_order=True)
            for piece, table in zip(slices, cut(batches, 0, slices, self.uri), strict=True):
                yield Planned(piece, table.column(self.id).to_pylist())
        except ERRORS as error:
            raise unreadable(self.uri, error) from error

    def read(self, slices: Sequence[Slice]) -> Iterator[Read]:
        """Read these rows."""
        columns = list(dict.fromkeys([self.id, self.column]))
        try:
            dataset = self._open()
            for piece in slices:
                table = dataset.to_table(columns=columns, offset=piece.start, limit=piece.rows, scan_in_order=True)
                values = [value_of(value) for value in table.column(self.column).to_pylist()]
                yield Read(piece, table.column(self.id).to_pylist(), values)
        except ERRORS as error:
            raise unreadable(self.uri, error) from error

    def _open(self) -> Any:
        uri = without_options(self.uri, "Lance")
        adapt(uri)
        try:
            lance = needed("lance", "lance", ".lance")
            return lance.dataset(uri, version=self._version, storage_options=lance_options(uri))
        except ERRORS as error:
            raise unreadable(self.uri, error) from error
