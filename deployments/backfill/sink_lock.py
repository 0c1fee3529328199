"""One job at a time writes to a sink."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from filelock import FileLock, Timeout

from deployments.backfill.storage import Storage
from models.errors import JobError


def alone(notes: Storage) -> AbstractContextManager[object]:
    """Hold the lock beside a job's notes; the kernel frees it when its process ends, however that comes.

    Raises:
        JobError: another one holds it.
    """
    folder = notes.local
    if folder is None:
        return nullcontext()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "job.lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise JobError(f"another backfill writes there now: {folder}/job.lock is held") from error
    except OSError as error:
        raise JobError(f"{folder} cannot be written: {error.strerror}") from error
    return lock
