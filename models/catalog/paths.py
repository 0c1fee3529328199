"""Where the project, its catalogue and its store lie, and where a path of the configuration leads."""

from __future__ import annotations

import os
from pathlib import Path

from models.files import below

ROOT = Path(__file__).resolve().parents[2]
STORE_PREFIX = "models/store"
PRELOADED = "EMBEDSERVE_PRELOADED"  # the folder of another store, of which models are served that this one lacks


def catalog_path() -> Path:
    """The path of the catalogue: ``$EMBEDSERVE_CATALOG``, or the one that ships with the project."""
    return Path(os.environ.get("EMBEDSERVE_CATALOG") or ROOT / "models" / "catalog.yaml")


def store() -> Path:
    """The folder that holds model files."""
    return Path(os.environ.get("EMBEDSERVE_MODELS") or ROOT / STORE_PREFIX).expanduser().absolute()


def found_path(path: str) -> Path:
    """Where a file of the configuration lies: in the store, or in the folder of preloaded models if only that has it.

    Raises:
        ConfigError: as ``resolve_path``.
    """
    return next((place for place in places(path) if place.exists()), resolve_path(path))


def places(path: str) -> list[Path]:
    """Where a file of the configuration may lie: in the store, and in ``$EMBEDSERVE_PRELOADED``, which is only read.

    Raises:
        ConfigError: as ``resolve_path``.
    """
    preloaded = os.environ.get(PRELOADED)
    plain = path.removeprefix("./")
    if not preloaded or not plain.startswith(f"{STORE_PREFIX}/"):
        return [resolve_path(path)]
    folder = Path(preloaded).expanduser().absolute()
    return [resolve_path(path), below(folder, plain.removeprefix(f"{STORE_PREFIX}/"))]


def resolve_path(path: str) -> Path:
    """A path of the configuration as an absolute one: below ``$EMBEDSERVE_MODELS`` if it begins with ``models/store``.

    Raises:
        ConfigError: it begins so and leads elsewhere.
    """
    plain = path.removeprefix("./")
    if plain.startswith(f"{STORE_PREFIX}/"):
        return below(store(), plain.removeprefix(f"{STORE_PREFIX}/"))
    return (ROOT / Path(path).expanduser()).absolute()
