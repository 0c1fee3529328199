"""CSV and TSV files with a header line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import PurePosixPath

from deployments.backfill.sources.base import RowFault, missing_column
from deployments.backfill.sources.lines import MISSING, LineSource, Pair, no_utf8

NO_UTF8 = RowFault("the record is no text in UTF-8", "invalid_utf8")
MOST = 1 << 27  # characters of one value; the module's own limit of 131,072 is less than texts may have


class CsvSource(LineSource):
    """Files whose first record names the columns. Every value is a string, ids too: ``007`` stays as it is."""

    suffixes = frozenset({".csv", ".tsv"})

    def header(self, raw: io.BufferedReader, path: str) -> tuple[bytes, int]:
        """The first record."""
        csv.field_size_limit(MOST)
        self._delimiter = "\t" if PurePosixPath(path).suffix.lower() == ".tsv" else ","
        first = next(self.records(raw), b"")
        try:
            names = first.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise no_utf8(path) from error
        there = next(csv.reader([names], delimiter=self._delimiter), [])
        for name in (self.id, self.column):
            if name not in there:
                raise missing_column(path, name, there)
        return first, len(first)

    def records(self, raw: io.BufferedReader) -> Iterator[bytes]:
        """Lines, as many as the reader takes for one record; empty ones belong to the record before them."""
        taken: list[bytes] = []

        def lines() -> Iterator[str]:
            for line in raw:
                taken.append(line)
                yield line.decode("latin-1")  # whatever the encoding, only commas, quotes and line ends count here

        record = b""
        for row in csv.reader(lines(), delimiter=self._delimiter):
            if row and record.strip(b"\r\n"):
                yield record
                record = b""
            record += b"".join(taken)
            taken.clear()
        if record.strip(b"\r\n"):
            yield record

    def pairs(self, data: bytes, header: bytes) -> list[Pair]:
        """Id and value of each record."""
        names = next(csv.reader([header.decode("utf-8-sig")], delimiter=self._delimiter))
        id_, column = names.index(self.id), names.index(self.column)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return [pair for record in self.records(_reader(data)) for pair in self._alone(record, id_, column)]
        return self._parsed(text, id_, column)

    def _alone(self, record: bytes, id_: int, column: int) -> list[Pair]:
        """The same for one record, of which the others must not suffer."""
        try:
            return self._parsed(record.decode("utf-8"), id_, column)
        except UnicodeDecodeError:
            return [(found, NO_UTF8) for found, _ in self._parsed(record.decode("utf-8", "replace"), id_, column)]

    def _parsed(self, text: str, id_: int, column: int) -> list[Pair]:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter)
        return [(_of(row, id_), _of(row, column)) for row in rows if row]


def _of(row: list[str], column: int) -> object:
    return row[column] if column < len(row) else MISSING


def _reader(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))
