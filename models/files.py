"""Writing files so that readers never see half of one, and locks between processes."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock


def partial_path(target: Path) -> Path:
    """The path that a file is written to before it is renamed to ``target``; renaming needs the same folder."""
    return target.with_name(target.name + ".partial")


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``target`` when the block ends, and is removed when the block raises.

    Readers of ``target`` see the old file or the new one, never half of one. The new file gets the old one's permissions.

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
        mode: permissions of a file that did not exist, before the umask is applied.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(target) as partial:
        partial.unlink(missing_ok=True)  # one left by a killed writer may have wider permissions
        descriptor = os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Let one process and one thread at a time work on ``target``, which need not exist.

    The lock is the file ``<target>.lock``, which is not removed. The kernel frees the lock when its process ends or is killed.

    Raises:
        OSError: the lock file cannot be created.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(target.name + ".lock"), mode=0o600):
        yield
