"""What the file system refuses to the store, apart from what is wrong with a source: no other source would help."""

from __future__ import annotations

import errno
import getpass
from pathlib import Path

from models.catalog.paths import store
from models.errors import StoreError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR})
ELSEWHERE = "name another folder in EMBEDSERVE_MODELS"


def store_fault(error: OSError, folder: Path | None = None) -> StoreError | None:
    """The error for what the file system refused while a model was fetched or built; None where it was not the store's.

    Args:
        error: the system's.
        folder: where it was about to write; the store by default.
    """
    folder = folder or store()
    if error.errno in FULL:
        return StoreError(f"cannot write to {folder}: {error.strerror}; free some space there, or {ELSEWHERE}")
    named = error.filename2 or error.filename
    if error.errno not in REFUSED or not isinstance(named, str | Path) or not _inside(Path(named), folder):
        return None
    remedy = f"let the user {_user()} write there, or {ELSEWHERE}"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        remedy = f"a file stands where a folder should be; {ELSEWHERE}"
    return StoreError(f"cannot write to {folder}: {error.strerror} ({named}); {remedy}")


def _inside(path: Path, folder: Path) -> bool:
    """Whether a path is in a folder, or on the way to it."""
    return path == folder or folder in path.parents or path in folder.parents


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return "of this process"
