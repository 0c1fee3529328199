from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalog.paths import store
from tests.integration.documents import drop_text_tower
from tests.integration.isolated import isolated
from tests.integration.service import Service

STORE = "models"  # in the service's folder


@pytest.fixture(scope="package")
def changing() -> Iterator[Service]:
    """A service that every module gives a configuration of its own, with a store of its own, whose files tests may move.

    What a module leaves as it is need not start again: all of them have the shipped versions but the one that sleeps.
    """
    with isolated(change=drop_text_tower, prepare=own_store) as running:
        yield running.service


def own_store(folder: Path) -> dict[str, str]:
    """Everything that the store of this machine has, without its bytes where the file system allows it."""
    if store().is_dir():
        unfinished = shutil.ignore_patterns("*.lock", "*.partial", "*.failed")
        shutil.copytree(store(), folder / STORE, copy_function=linked, ignore=unfinished)
    return {"EMBEDSERVE_MODELS": str(folder / STORE)}


def linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
