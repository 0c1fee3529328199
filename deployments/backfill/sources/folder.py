"""A folder of pictures: their relative paths are the ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import PurePosixPath

from deployments.backfill.sources.base import Planned, Read, RowFault, Slice, Source
from deployments.backfill.storage import fingerprint, listed, located, opened
from deployments.config.limits import Limits
from models.errors import JobError

LIMITS = Limits()
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


class FolderSource(Source):
    """The pictures of a folder and of those in it; slices are counted in files, in order of their names."""

    suffixes = SUFFIXES
    fingerprints_pictures = True

    def fingerprint(self) -> dict[str, str]:
        """One for all: they are many."""
        every = "\n".join(f"{info.path} {fingerprint(info)}" for info in listed(self.uri, SUFFIXES))
        return {self.uri: hashlib.sha256(every.encode()).hexdigest()}

    def plan(self, rows: int, *, pictures: bool | None) -> Iterator[Planned]:
        """Cut the sorted list of names."""
        if pictures is False:
            raise JobError(
                f"{self.uri} holds pictures, and the model takes texts: of a file such as .parquet, .jsonl or .csv"
            )
        names = names_of(self.uri)
        for number, start in enumerate(range(0, len(names), rows)):
            ids = names[start : start + rows]
            yield Planned(Slice(number, self.uri, start, start, start + len(ids), len(ids)), list(ids))

    def read(self, slices: Sequence[Slice]) -> Iterator[Read]:
        """Read the files."""
        names = kept_names(self.uri)
        for piece in slices:
            ids = names[piece.start : piece.stop]
            if len(ids) != piece.rows:
                raise JobError(f"{self.uri} has other files than when the job began; start the command again")
            yield Read(piece, list(ids), [self._bytes(name) for name in ids])

    def _bytes(self, name: str) -> object:
        _, base = located(self.uri)
        try:
            with opened(self.uri, f"{base}/{name}") as file:
                if file.size() > LIMITS.image_bytes:  # never read: it may be larger than the memory
                    said = f"the picture has {file.size()} bytes, the limit is {LIMITS.image_bytes}"
                    return RowFault(said, "too_large")
                return bytes(file.read())
        except OSError as error:
            return RowFault(f"the file cannot be read: {error}", "unreadable")


def names_of(uri: str) -> list[str]:
    """The relative paths of the pictures in a folder, in order."""
    _, base = located(uri)
    return [str(PurePosixPath(info.path).relative_to(base)) for info in listed(uri, SUFFIXES)]


@cache
def kept_names(uri: str) -> list[str]:
    """The same, looked up once by each worker."""
    return names_of(uri)
