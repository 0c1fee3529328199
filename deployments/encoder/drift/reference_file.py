"""The reference of an artifact in the store, so that it outlives the replica that froze it and serves all replicas of a node."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from deployments.encoder.drift.distance import Reference
from deployments.encoder.drift.window import Moments
from deployments.observability.logging import logger
from models.catalog.paths import store

FOLDER = "drift"
FORM = 1  # of the file; another form is another name


def path_of(hash_: str) -> Path:
    """Where the reference of an artifact lies."""
    return store() / FOLDER / f"{hash_}-{FORM}.npz"


def load(hash_: str) -> Reference | None:
    """The reference of an artifact; None where there is none that can be read."""
    path = path_of(hash_)
    try:
        with np.load(path) as kept:
            arrays = {name: kept[name] for name in kept.files}
        traits = {name.removeprefix("trait "): values for name, values in arrays.items() if name.startswith("trait ")}
        usual = {
            name.removeprefix("usual "): float(value) for name, value in arrays.items() if name.startswith("usual ")
        }
        return Reference(traits, Moments(arrays["mean"], arrays["covariance"]), usual, int(arrays["count"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        logger.warning("the reference for drift %s cannot be read, a new one is made: %s", path.name, error)
        return None


def save(hash_: str, reference: Reference) -> bool:
    """Keep the reference of an artifact; whether that was possible."""
    path = path_of(hash_)
    arrays: dict[str, Any] = {"mean": reference.moments.mean, "covariance": reference.moments.covariance}
    arrays |= {f"trait {name}": values for name, values in reference.traits.items()}
    arrays |= {f"usual {name}": np.float64(value) for name, value in reference.usual.items()}
    arrays["count"] = np.int64(reference.count)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
            try:
                np.savez(file, **arrays)
            except OSError:
                os.unlink(file.name)
                raise
        os.replace(file.name, path)
    except OSError as error:
        logger.warning("the reference for drift is kept in memory alone, and ends with this replica: %s", error)
        return False
    return True
