"""The sha256 of a file, which is not read again within a minute if it is still the same: the largest have gigabytes."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

KEPT_S = 60.0  # a start asks up to eight times for the same file; what is asked later is about the file as it then is
SETTLED_S = (
    2.0  # since the last change: a file may change again within the tick of its clock, of which FAT's are that long
)
MOST = 1000  # digests

_Identity = tuple[int, int, int, int, int]
_known: dict[_Identity, tuple[float, str]] = {}


def file_sha256(path: Path) -> str:
    """sha256 of a file, 64 hex digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        identity = _identity(os.fstat(file.fileno()))
        read_at, known = _known.get(identity, (-KEPT_S, ""))
        if time.monotonic() - read_at < KEPT_S:
            return known
        begin = time.monotonic()
        found = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    if _identity(after) == identity and time.time() - after.st_ctime > SETTLED_S:
        if len(_known) >= MOST:
            _known.clear()
        _known[identity] = begin, found
    return found


def _identity(status: os.stat_result) -> _Identity:
    """What changes with the content; nobody can set the time of the last change, ``st_ctime``."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
