"""Files that are whole or not there at all, and locks between processes."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock


def partial_path(target: Path) -> Path:
    """Where a file is written until it is whole: in the same folder, so that it can be renamed."""
    return target.with_name(target.name + ".partial")


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``target`` when the block ends, and is removed when the block raises.

    Readers of ``target`` see the old file or the new one, never half of one. A file that was there keeps its permissions.

    Raises:
        OSError: the file cannot be written or renamed.
    """
    partial = partial_path(target)
    try:
        yield partial
        if target.exists():
            partial.chmod(stat.S_IMODE(target.stat().st_mode))
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(target: Path, data: bytes, mode: int = 0o666) -> None:
    """Replace a file's content.

    Args:
        target: the file.
        data: its new content.
        mode: permissions of a file that was not there before; the umask takes its bits away.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(target) as partial:
        partial.unlink(missing_ok=True)  # a killed writer may have left one that others may read
        descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Let one process and one thread at a time work on ``target``, which need not exist.

    The lock is the file ``<target>.lock``, which stays; the kernel frees it when its process ends, however that happens.

    Raises:
        OSError: the lock file cannot be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(target.name + ".lock"), mode=0o600):
        yield
