"""Whether an id occurs twice in a source of any size: eight bytes are kept of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from deployments.backfill.sources.base import Id, Planned

Keys = NDArray[np.uint64]
SHOWN = 5


def keys(ids: Sequence[Id | None]) -> Keys:
    """A 64-bit number for each id, the same in this process: equal for equal ones, and for others hardly ever; uint64 [n]."""
    if all(isinstance(one, int) for one in ids):
        return np.array(ids, np.int64).astype(np.uint64)
    # one by one: among integers a row without an id must not change the numbers of the others
    numbers = (one if isinstance(one, int) else hash(one or "") for one in ids)
    return np.fromiter(numbers, np.int64, len(ids)).astype(np.uint64)


class DuplicateIds:
    """Collects the ids of a source."""

    def __init__(self) -> None:
        """None yet."""
        self._parts: list[Keys] = []

    def add(self, ids: Sequence[Id | None]) -> None:
        """More of them; rows without an id are no duplicates of each other."""
        present = [one for one in ids if one is not None]
        if present:
            self._parts.append(keys(present))

    def suspects(self) -> frozenset[int]:
        """The keys that occur more than once; nearly always because their ids do."""
        if not self._parts:
            return frozenset()
        every = np.sort(np.concatenate(self._parts))
        return frozenset(every[1:][every[1:] == every[:-1]].tolist())


def found_twice(suspects: frozenset[int], again: Iterable[Planned]) -> list[str]:
    """Sentences about the first ids that do occur twice.

    Args:
        suspects: as ``DuplicateIds`` gave them.
        again: the source, planned once more.
    """
    seen: dict[Id, str] = {}
    found: list[str] = []
    for planned in again:
        for row, (one, key) in enumerate(zip(planned.ids, keys(planned.ids).tolist(), strict=True)):
            if one is None or key not in suspects:
                continue
            where = f"row {planned.slice.first + row} of {planned.slice.file}"
            if one in seen:
                found.append(f"{one!r} in {seen[one]} and in {where}")
            seen[one] = where
            if len(found) == SHOWN:
                return found
    return found
