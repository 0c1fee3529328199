"""Writing files so that readers never see half of one, locks between processes, and what tells whether files are the same."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from models.errors import ConfigError

PRIVATE = 0o600
PARTIAL = ".partial"
NAME_BYTES = 240  # of a file's name, for which file systems take 255: `.partial` and `.lock` come behind it
ACL = "system.posix_acl_access"  # the attribute in which Linux keeps who else may read a file


class FileChangedError(OSError):
    """A file is no longer what was read of it: somebody else wrote it meanwhile."""


def partial_path(target: Path) -> Path:
    """The path that a file is written to before it is renamed to ``target``; renaming needs the same folder.

    Where ``target`` is a link, that is the folder of the file behind it.
    """
    real = Path(os.path.realpath(target))
    return real.with_name(real.name + PARTIAL)


@contextlib.contextmanager
def replacing(target: Path, *, before: bytes | None = None) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``target`` when the block ends, and is removed when the block raises.

    Readers of ``target`` see the old file or the new one, never half of one. A link stays, and the file behind it is replaced.
    The new file gets the old one's permissions, access list and owner, and is private until then.

    Args:
        target: the file.
        before: what was read of it, where this is an edit; none: whatever it holds now may go, and its owner is kept only
            where this user may do that.

    Raises:
        FileChangedError: it no longer holds ``before``; nothing was written.
        OSError: the file cannot be written or renamed, or this user may not give an edited file its owner.
    """
    real, partial = Path(os.path.realpath(target)), partial_path(target)
    if real.exists() and not real.is_file():  # a rename would put a file in the place of a device, /dev/null for all
        raise OSError(errno.EINVAL, "Not a regular file, which alone can be replaced", str(target))
    try:
        if real.exists() and not partial.exists():
            os.close(_created(partial, PRIVATE))
        yield partial
        if real.exists():
            _inherit(real, partial, needed=before is not None)
        if before is not None and (not real.exists() or real.read_bytes() != before):
            raise FileChangedError(f"{target} was changed by somebody else since it was read")
        partial.replace(real)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(target: Path, data: bytes, mode: int = 0o666, *, before: bytes | None = None) -> None:
    """Replace a file's content.

    Args:
        target: the file.
        data: its new content.
        mode: permissions of a file that did not exist, before the umask is applied.
        before: as ``replacing`` takes it.

    Raises:
        FileChangedError: it no longer holds ``before``; nothing was written.
        OSError: the file cannot be written.
    """
    partial_path(target).unlink(missing_ok=True)  # one left by a killed writer may have wider permissions
    with replacing(target, before=before) as partial:
        descriptor = os.open(partial, os.O_WRONLY | os.O_NOFOLLOW) if partial.exists() else _created(partial, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # renamed before it is on the disk, a file may be empty after a power cut


def require_replaceable(target: Path) -> None:
    """Find out whether ``replacing`` could keep what it has to keep, before anything else is changed.

    Raises:
        OSError: the folder takes no file of this user, or this user may not give a file its owner.
    """
    trial = Path(os.path.realpath(target)).with_name(f".{target.name}.{os.getpid()}.trial")
    os.close(_created(trial, PRIVATE))
    try:
        if target.exists():
            _inherit(target, trial, needed=True)
    finally:
        trial.unlink()


def _created(path: Path, mode: int) -> int:
    """A new file, opened for writing: never one that somebody else put there, nor one behind a link."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC, mode)


def _inherit(old: Path, new: Path, *, needed: bool) -> None:
    """Give ``new`` the owner, permissions and access list of ``old``.

    Raises:
        PermissionError: this user may not give it the owner, and that is ``needed``.
    """
    had, has = old.stat(), new.stat()
    if (had.st_uid, had.st_gid) != (has.st_uid, has.st_gid):
        try:
            os.chown(new, had.st_uid, had.st_gid)
        except PermissionError as error:
            if needed:
                owner = f"user {had.st_uid} and group {had.st_gid}"
                reason = f"it belongs to {owner}, which this user cannot keep; run the command as its owner or root"
                raise PermissionError(error.errno, reason, str(old)) from None
    new.chmod(stat.S_IMODE(had.st_mode))
    if ACL in os.listxattr(old):
        os.setxattr(new, ACL, os.getxattr(old, ACL))


def below(folder: Path, name: str) -> Path:
    """The path of a file that is named from outside; every name that becomes a path passes here.

    Args:
        folder: where it must lie.
        name: of the file, or of folders and the file with ``/`` between them.

    Raises:
        ConfigError: it would lie elsewhere, or no file can have this name.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or len(part.encode(errors="replace")) > NAME_BYTES for part in parts):
        raise ConfigError(f"{name!r:.80} is no name of a file in a folder: it must be relative, without '..' and '//'")
    if not name.isprintable() or "\\" in name:
        raise ConfigError(
            f"{name!r:.80} is no name of a file: it holds characters that names of files here do not hold"
        )
    return folder.joinpath(*parts)


@contextlib.contextmanager
def locked(target: Path) -> Iterator[None]:
    """Let one process and one thread at a time work on ``target``, which need not exist.

    The lock is the file ``<target>.lock``, which is not removed. The kernel frees the lock when its process ends or is killed.

    Raises:
        OSError: the lock file cannot be created.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_name(target.name + ".lock")
    with contextlib.suppress(FileNotFoundError, PermissionError):
        lock.chmod(PRIVATE)  # one that an earlier version left with 0644 may be held by whoever can read it
    with FileLock(lock, mode=PRIVATE):
        yield
