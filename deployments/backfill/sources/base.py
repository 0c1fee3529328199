"""Where rows come from: files that are cut into numbered slices, always at the same places."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from deployments.backfill.job import Rows
from deployments.backfill.uris import absolute
from models.errors import JobError

Id = str | int


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive rows of one file."""

    number: int
    file: str  # its path on its filesystem
    first: int  # the number of its first row in the file, from 0
    start: int  # where it begins, in the source's own unit: rows or bytes
    stop: int  # where it ends
    rows: int
    low: Id | None = None  # the first and the last id, in a source whose rows are found by them
    high: Id | None = None


@dataclass(frozen=True)
class Planned:
    """A slice, and the ids of its rows; None where a row has none."""

    slice: Slice
    ids: list[Id | None]


@dataclass(frozen=True)
class Read:
    """The rows of a slice: ids and what to embed, as they stand there."""

    slice: Slice
    ids: list[Id | None]
    values: list[object]  # str, bytes, None; a ``RowFault`` where a row cannot be read


@dataclass(frozen=True, slots=True)
class RowFault:
    """Why a row has no value."""

    reason: str
    code: str


class Source(ABC):
    """One place. It travels to the workers, so it holds no more than names."""

    suffixes: ClassVar[frozenset[str]] = frozenset()  # of files of this form
    string_ids: bool = True  # or 64-bit integers
    fingerprints_pictures: ClassVar[bool] = False  # whether a changed picture changes what ``fingerprint`` gives

    def __init__(self, uri: str, id: str, column: str) -> None:  # noqa: A002 - as the command's option is called
        """Take ids from the column ``id`` and what is embedded from ``column`` of the files at ``uri``."""
        self.uri = absolute(uri)
        self.id = id
        self.column = column

    @classmethod
    def takes(cls, uri: str) -> bool:  # noqa: ARG003 - forms of files are told by their endings
        """Whether a URI names a source of this form, whatever lies there."""
        return False

    @classmethod
    def of(cls, rows: Rows) -> Source:
        """The source of a job.

        Raises:
            JobError: the job says too little of it.
        """
        return cls(rows.source, rows.id, rows.column)

    @property
    def picture_base(self) -> str | None:
        """The URI on whose filesystem paths of pictures are looked up; None where there is none."""
        return self.uri

    @abstractmethod
    def fingerprint(self) -> dict[str, str]:
        """For each file what changes with it.

        Raises:
            JobError: there are none.
        """

    @abstractmethod
    def plan(self, rows: int, *, pictures: bool | None) -> Iterator[Planned]:
        """Look at every file once and cut it into slices of ``rows`` rows.

        Args:
            rows: of a slice; the last of a file has fewer.
            pictures: whether the column must hold pictures, or texts; None: either.

        Raises:
            JobError: a file cannot be read, or has not the columns that are needed.
        """

    @abstractmethod
    def read(self, slices: Sequence[Slice]) -> Iterator[Read]:
        """The rows of some slices of one file, in order.

        Raises:
            JobError: the file cannot be read any more, or has changed.
        """


def unreadable(path: str, error: Exception) -> JobError:
    """The error for a file that is damaged or may not be read."""
    return JobError(f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}")


def changed(path: str) -> JobError:
    """The error for a file that has other rows than when the job began."""
    return JobError(f"{path} changed while it was read; start the command again when nobody writes it any more")


def missing_column(path: str, column: str, there: Sequence[str]) -> JobError:
    """The error for a column that a file does not have."""
    return JobError(f"{path} has no column {column!r}; it has: {', '.join(there)}")


def wrong_type(path: str, column: str, found: str, wanted: str) -> JobError:
    """The error for a column of another type."""
    return JobError(f"{path}: column {column!r} holds {found}, and {wanted} are needed")


READ_ERRORS = (pa.ArrowException, OSError, ValueError, csv.Error)
TEXTS = "texts"
PICTURES = "pictures (bytes, or paths and data: URIs as strings)"
IDS = "strings or integers"
