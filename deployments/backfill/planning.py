"""From a source to the work on it: slices, ids that may not occur twice, and what is in the sink already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deployments.backfill.duplicate_ids import DuplicateIds, Keys, found_twice, keys
from deployments.backfill.preparing import Work
from deployments.backfill.sinks.base import Sink
from deployments.backfill.sources.base import Slice, Source
from models.errors import JobError

PLAN_ROWS = 1024  # of a slice where nothing depends on it
TASK_SLICES = 8  # of one file that one task reads: a row group is decoded once for them


@dataclass(frozen=True)
class Plan:
    """The blocks of a source, always the same as long as it is."""

    slices: list[Slice]
    stored: dict[int, list[str]]  # by a block's number, the digests in the sink of its rows; "" where there is none

    @property
    def rows(self) -> int:
        """How many rows the source has."""
        return sum(piece.rows for piece in self.slices)

    def works(self, done: Sequence[int] | set[int] = ()) -> list[Work]:
        """The work on the blocks that are not done, in their order."""
        return list(_grouped([piece for piece in self.slices if piece.number not in done], self.stored))


def plan(source: Source, rows: int, stored: StoredDigests | None, *, pictures: bool) -> Plan:
    """Look at a source once.

    Args:
        source: where rows come from.
        rows: of a block.
        stored: what is in the sink, of which nothing is embedded again.
        pictures: whether rows are pictures, or texts.

    Raises:
        JobError: it cannot be read, lacks a column, or has an id twice.
    """
    slices: list[Slice] = []
    digests: dict[int, list[str]] = {}
    ids = DuplicateIds()
    for planned in source.plan(rows, pictures=pictures):
        slices.append(planned.slice)
        ids.add(planned.ids)
        if stored is not None:
            digests[planned.slice.number] = stored.of([one if one is not None else "" for one in planned.ids])
    if suspects := ids.suspects():
        twice = found_twice(suspects, source.plan(rows, pictures=pictures))
        if twice:
            raise JobError(f"ids occur twice in {source.uri}, and a row is known by its id: {'; '.join(twice)}")
    return Plan(slices, digests)


class StoredDigests:
    """For each id in a sink the digest of what was embedded; 24 bytes a row."""

    def __init__(self, sink: Sink, hash: str) -> None:  # noqa: A002 - as the column is called
        """Read the sink's rows of one artifact."""
        found: list[tuple[Keys, np.ndarray]] = []
        for table in sink.read(hash=hash):
            digests = table.column("input_digest").to_pylist()
            found.append((keys(table.column("id").to_pylist()), np.array([one or "" for one in digests], "S32")))
        every = np.concatenate([part[0] for part in found]) if found else np.empty(0, np.uint64)
        order = np.argsort(every, kind="stable")
        self._keys = every[order]
        self._digests = np.concatenate([part[1] for part in found])[order] if found else np.empty(0, "S32")

    def of(self, ids: Sequence[str | int]) -> list[str]:
        """Their digests, "" for those that are not there."""
        if not len(self._keys):
            return [""] * len(ids)
        wanted = keys(ids)
        at = np.searchsorted(self._keys, wanted, side="right") - 1
        there = (at >= 0) & (self._keys[at] == wanted)
        return [digest.decode() if ok else "" for digest, ok in zip(self._digests[at], there, strict=True)]


def _grouped(slices: Sequence[Slice], stored: dict[int, list[str]]) -> Iterator[Work]:
    group: list[Slice] = []
    for piece in slices:
        if group and (len(group) == TASK_SLICES or group[-1].file != piece.file):
            yield _work(group, stored)
            group = []
        group.append(piece)
    if group:
        yield _work(group, stored)


def _work(group: list[Slice], stored: dict[int, list[str]]) -> Work:
    return Work(group, {piece.number: stored[piece.number] for piece in group if piece.number in stored})
