"""Graphs that take pictures: their shapes, what they want to be given, and a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.engine.buckets import Buckets, cut_image_buckets, image_buckets
from models.engine.types import Vectors
from models.inputs.image import Pixels
from models.inputs.preparation import Preparation

if TYPE_CHECKING:
    from models.engine.engine import Engine
    from models.engine.session import EngineOptions


def buckets(options: EngineOptions) -> Buckets:
    """The fixed shapes of an image graph."""
    return cut_image_buckets() if options.on_openvino else image_buckets(options.largest_run)


def fixed_shape(engine: Engine) -> tuple[int, int] | None:
    """Height and width of the pictures that a graph takes, where the graph fixes them."""
    shape = next(iter(engine.shapes.values()))
    if len(shape) != 4:
        return None
    height, width = shape[1:3] if takes_pixels(engine) else shape[2:4]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def takes_pixels(engine: Engine) -> bool:
    """Whether a graph takes uint8 pixels as they are, and so scales and normalises them itself."""
    return next(iter(engine.inputs.values())) == np.uint8


def values_of(engine: Engine, pixels: Pixels, preparation: Preparation) -> dict[str, NDArray[Any]]:
    """The graph's input for uint8 pixels [n, h, w, 3]: as they are, or normalised where the graph does not do it."""
    name, dtype = next(iter(engine.inputs.items()))
    return {name: pixels if dtype == np.uint8 else preparation.values(pixels)}


def run_pixels(engine: Engine, pixels: Pixels, preparation: Preparation) -> Vectors:
    """Run an image graph once: uint8 pixels [n, h, w, 3] to unit vectors, float32 [n, d]."""
    return engine.run(values_of(engine, pixels, preparation), lambda tokens: tokens[:, 0])
