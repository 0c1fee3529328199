"""`embedserve models add` in processes of its own, which end when they are about to write for the n-th time."""

from __future__ import annotations

import hashlib
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from models.catalog.catalog import Catalog
from models.catalog.paths import store
from tests.forking import FORKING, preload

preload("deployments.cli.main", "models.verify", "models.company", "models.comparison", "models.catalog.custom")
WRITES = (
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.chmod",
    "os.utime",
    "os.truncate",
    "os.link",
    "os.symlink",
    "os.rmdir",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
REFERENCE = "mine@1"


@dataclass(frozen=True)
class Place:
    """A folder that holds a store and a catalogue."""

    folder: Path

    @property
    def catalog(self) -> Path:
        """The catalogue."""
        return self.folder / "catalog.yaml"

    @property
    def environment(self) -> dict[str, str]:
        """What commands have to be told to work here."""
        return {"EMBEDSERVE_CATALOG": str(self.catalog), "EMBEDSERVE_MODELS": str(self.folder / "store")}

    def files(self) -> dict[str, str]:
        """Every file, locks apart, and the sha256 of its content."""
        found = sorted(path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".lock")
        return {str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    @property
    def has_it(self) -> bool:
        """Whether the catalogue has the model."""
        return "mine" in Catalog.load(self.catalog).models


def started(place: Place, origin: Path, reference: str = REFERENCE, at: int = 0, ending: int = 9) -> BaseProcess:
    """A process that adds a model, and gets the signal ``ending`` before its ``at``-th write; 0 for never."""
    process = FORKING.Process(target=_add, args=(place, str(origin), reference, at, ending))
    process.start()
    return process


def writes(place: Place) -> int:
    """How often the last process that ended by itself wrote."""
    return int(_count(place).read_text())


def _count(place: Place) -> Path:
    return place.folder.with_name(place.folder.name + ".count")


def _add(place: Place, origin: str, reference: str, at: int, ending: int) -> None:
    from deployments.cli.main import main

    os.environ.update(place.environment)
    assert store() == place.folder / "store"
    count = 0

    def hear(event: str, details: tuple[Any, ...]) -> None:
        nonlocal count
        writing = event in WRITES or (event == "open" and details[2] & WRITING)
        if writing and str(details[0]).startswith(str(place.folder)):
            count += 1
            if count == at:
                os.kill(os.getpid(), ending)

    sys.addaudithook(hear)
    sys.argv = ["embedserve", "models", "add", reference, "--from", origin]
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            main()
        finally:
            _count(place).write_text(str(count))
