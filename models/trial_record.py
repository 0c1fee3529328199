"""What a trial found on this machine, kept in the store: the same files, runtimes and processor need no second one."""

from __future__ import annotations

import contextlib
import hashlib
from importlib.metadata import version
from pathlib import Path

from models.catalog.catalog import Catalog
from models.catalog.paths import store
from models.catalog.store import kept_artifact
from models.engine.processor import processor_flags
from models.errors import ModelNotFoundError
from models.files import write_whole

RUNTIMES = ("onnxruntime", "openvino", "numpy")
FOLDER = "trials"


def record_of(faster: str, exact: str) -> Path | None:
    """Where it is noted that one version may stand in for another; None while an artifact of them has yet to be made.

    Args:
        faster: ``name@version`` of the one that would stand in.
        exact: of the other.
    """
    catalog = Catalog.load()
    try:
        kept = [kept_artifact(catalog.find(reference)) for reference in (faster, exact)]
    except ModelNotFoundError:
        return None  # the trial says so
    if None in kept:
        return None
    parts = [artifact.hash for artifact in kept if artifact is not None]
    parts += [f"{name} {version(name)}" for name in RUNTIMES] + sorted(processor_flags())
    return store() / FOLDER / hashlib.sha256("\n".join(parts).encode()).hexdigest()


def note(faster: str, exact: str) -> None:
    """Note that one version may stand in for another. A store that cannot be written has the trial made at every start."""
    record = record_of(faster, exact)
    if record is not None:
        with contextlib.suppress(OSError):
            record.parent.mkdir(exist_ok=True)
            write_whole(record, f"{faster} may stand in for {exact}\n".encode())
