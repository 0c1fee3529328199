"""Files of which a record is a line, or in CSV as many as its quotes hold together: slices are counted in bytes."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Iterator, Sequence

from deployments.backfill.sources.base import (
    IDS,
    PICTURES,
    READ_ERRORS,
    TEXTS,
    Id,
    Planned,
    Read,
    RowFault,
    Slice,
    Source,
    changed,
    unreadable,
    wrong_type,
)
from deployments.backfill.storage import fingerprint, listed, opened
from models.errors import JobError

Value = object  # what stands in a column; a ``RowFault`` where the record cannot be read
Pair = tuple[Value, Value]  # id and what is embedded
LEAST_ID, MOST_ID = -(1 << 63), (1 << 63) - 1  # as sinks keep them
MISSING = RowFault("the record has no such column", "missing_column")


class LineSource(Source):
    """What JSONL and CSV have in common."""

    def fingerprint(self) -> dict[str, str]:
        """Size and time of each file."""
        return {info.path: fingerprint(info) for info in listed(self.uri, self.suffixes)}

    def plan(self, rows: int, *, pictures: bool | None) -> Iterator[Planned]:
        """Read every file once: where records begin is known only then."""
        number, kinds = 0, set[type]()
        for path in self.fingerprint():
            try:
                for planned in self._plan_file(path, number, rows, pictures=pictures):
                    kinds.update(type(one) for one in planned.ids if one is not None)
                    if len(kinds) > 1:
                        raise wrong_type(path, self.id, "both strings and integers", "ids of one type")
                    number = planned.slice.number + 1
                    yield planned
            except READ_ERRORS as error:
                raise unreadable(path, error) from error
        self.string_ids = kinds != {int}

    def _plan_file(self, path: str, number: int, rows: int, *, pictures: bool | None) -> Iterator[Planned]:
        check = Columns(path, self.id, self.column, pictures=pictures)
        header, first = b"", 0
        ids: list[Id | None] = []
        with opened(self.uri, path) as file:
            raw = io.BufferedReader(file, 1 << 20)
            header, start = self.header(raw, path)
            raw.seek(start)
            at = start
            for record in self.records(raw):
                (pair,) = self.pairs(record, header) or [(MISSING, MISSING)]
                ids.append(check.id_of(pair))
                at += len(record)
                if len(ids) == rows:
                    yield Planned(Slice(number, path, first, start, at, rows), ids)
                    number, first, start, ids = number + 1, first + rows, at, []
        if ids:
            yield Planned(Slice(number, path, first, start, at, len(ids)), ids)
        check.end()

    def read(self, slices: Sequence[Slice]) -> Iterator[Read]:
        """Read these bytes."""
        path = slices[0].file
        try:
            with opened(self.uri, path) as file:
                header, _ = self.header(io.BufferedReader(file, 1 << 16), path)
            with opened(self.uri, path) as file:
                for piece in slices:
                    file.seek(piece.start)
                    pairs = self.pairs(file.read(piece.stop - piece.start), header)
                    if len(pairs) != piece.rows:
                        raise changed(path)
                    yield Read(piece, [identity(pair[0]) for pair in pairs], [pair[1] for pair in pairs])
        except READ_ERRORS as error:
            raise unreadable(path, error) from error

    def header(self, raw: io.BufferedReader, path: str) -> tuple[bytes, int]:  # noqa: ARG002 - for forms that have one
        """The bytes before the first record that say how to read it, and where that begins."""
        return b"", 0

    @abstractmethod
    def records(self, raw: io.BufferedReader) -> Iterator[bytes]:
        """The bytes of each record, with everything up to the next."""

    @abstractmethod
    def pairs(self, data: bytes, header: bytes) -> list[Pair]:
        """Id and value of each record in these bytes."""


def identity(value: Value) -> Id | None:
    """A value as an id; None where it is none."""
    return value if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


class Columns:
    """Whether a file has the columns that are needed, told by its records."""

    def __init__(self, path: str, id: str, column: str, *, pictures: bool | None) -> None:  # noqa: A002 - as elsewhere
        """Nothing was seen yet."""
        self._path = path
        self._id, self._column, self._pictures = id, column, pictures
        self._seen = self._ids = self._values = 0

    def id_of(self, pair: Pair) -> Id | None:
        """The id of a record.

        Raises:
            JobError: the first value that a column has is of a wrong type: so will be the others.
        """
        self._seen += 1
        found = identity(pair[0])
        if pair[0] is not MISSING and not isinstance(pair[0], RowFault):
            self._ids += 1
            if self._ids == 1 and pair[0] is not None and not isinstance(pair[0], str | int):
                raise wrong_type(self._path, self._id, type(pair[0]).__name__, IDS)
            if isinstance(found, int) and not LEAST_ID <= found <= MOST_ID:
                raise wrong_type(self._path, self._id, str(found), f"strings or integers from {LEAST_ID} to {MOST_ID}")
        if pair[1] is not MISSING and not isinstance(pair[1], RowFault):
            self._values += 1
            if self._values == 1 and pair[1] is not None and not isinstance(pair[1], str):
                wanted = PICTURES if self._pictures else TEXTS
                raise wrong_type(self._path, self._column, type(pair[1]).__name__, wanted)
        return found

    def end(self) -> None:
        """The file has no more records.

        Raises:
            JobError: none of them had one of the columns.
        """
        if self._seen and not self._ids:
            raise JobError(f"{self._path}: none of its records has {self._id!r}")
        if self._seen and not self._values:
            raise JobError(f"{self._path}: none of its records has {self._column!r}")


def no_utf8(path: str) -> JobError:
    """The error for a header in another encoding."""
    return JobError(f"{path} is no text in UTF-8; save it as UTF-8")
