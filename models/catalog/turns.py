"""One process of a node fetches or builds a file; those that waited for it share what came of it, failures too."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from models.errors import ArtifactError, SourceError, UnreachableError
from models.files import locked, write_whole

SHARED = {error.__name__: error for error in (UnreachableError, SourceError, ArtifactError)}


def failure_path(target: Path) -> Path:
    """Where the failure of ``target`` is kept until somebody succeeds."""
    return target.with_name(target.name + ".failed")


@contextlib.contextmanager
def in_turn(target: Path, work: str) -> Iterator[None]:
    """Let one process at a time do ``work`` on ``target``; one that waited while it failed raises the same instead of trying.

    Otherwise a hundred replicas that start together would ask a server that is down one after the other, each with all
    its retries.

    Args:
        target: the file, as ``locked`` takes it.
        work: what is about to be done; others' failures count only where they did the same.

    Raises:
        OSError: the lock cannot be taken.
        SourceError: another process failed while this one waited.
        ArtifactError: the same.
    """
    began = time.time()
    with locked(target):
        if failure := _failure_since(target, work, began):
            raise failure
        try:
            yield
        except tuple(SHARED.values()) as error:
            kind = next(name for name, shared in SHARED.items() if isinstance(error, shared))
            note = {"at": time.time(), "work": work, "kind": kind, "message": str(error)}
            with contextlib.suppress(OSError):  # each finds out for itself then
                write_whole(failure_path(target), json.dumps(note).encode(), 0o600)
            raise
        failure_path(target).unlink(missing_ok=True)


def _failure_since(target: Path, work: str, began: float) -> Exception | None:
    try:
        note = json.loads(failure_path(target).read_text(encoding="utf-8"))
        if note["work"] == work and note["at"] >= began:
            return SHARED[note["kind"]](note["message"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
