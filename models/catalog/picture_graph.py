"""Finished graphs that take pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models.catalog.fields import read_json
from models.catalog.folder import ModelFolder
from models.catalog.picture_files import Found, preparation_in
from models.engine.engine import Engine
from models.errors import ArtifactError
from models.modalities import image_graph


def graph_entry(path: Path, engine: Engine, folder: ModelFolder) -> dict[str, Any]:
    """Type, dimensions and ``config`` of a graph's catalogue entry; its dimensions are found by running it once.

    Args:
        path: the graph; how its pictures are prepared is read from the files beside it.
        engine: of the graph.
        folder: gets what was found for the card.

    Raises:
        ArtifactError: the files ask for something that is not served, or do not fit the graph.
    """
    require_channels(path, engine)
    found = _found(path, engine)
    folder.note("pictures", found.preparation, found.origin)
    pixels = np.zeros((1, *found.preparation.shape, 3), np.uint8)
    vector = image_graph.run_pixels(engine, pixels, found.preparation)
    config = {"image_size": found.preparation.size, "preparation": found.preparation.entry}
    return {"type": "image", "dimensions": vector.shape[1], "config": config}


def require_channels(path: Path, engine: Engine) -> None:
    """Refuse a graph whose colours are not where they are looked for.

    Raises:
        ArtifactError: the message says where they have to be.
    """
    name, shape = next(iter(engine.shapes.items()))
    last = image_graph.takes_pixels(engine)
    channels = shape[3 if last else 1] if len(shape) == 4 else None
    if isinstance(channels, str) or channels == 3:
        return
    wanted = "uint8 [n, height, width, 3]" if last else "[n, 3, height, width]"
    raise ArtifactError(f"{path.name} takes {name} of shape {shape}; served are graphs that take {wanted}")


def _found(path: Path, engine: Engine) -> Found:
    config = read_json(path.parent / "config.json") if (path.parent / "config.json").is_file() else None
    found = preparation_in(path.parent, config, image_graph.fixed_shape(engine))
    if not image_graph.takes_pixels(engine):
        return found
    if not found.origin.startswith("assumed") and not found.preparation.raw:
        raise ArtifactError(
            f"{path.name} takes uint8 pixels, so it scales and normalises them itself, and the files beside it ask for that "
            "too: set do_rescale and do_normalize to false in them, or export the graph with float pixel_values"
        )
    return Found(found.preparation.without_values(), found.origin)
