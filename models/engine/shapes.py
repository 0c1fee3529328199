"""The range of a graph's fixed shapes, which TensorRT must know before it builds an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from models.engine.buckets import Buckets
from models.engine.providers import TENSORRT
from models.engine.session import EngineOptions

Profile = tuple[str, str, str]


def with_profiles(path: Path, options: EngineOptions, plan: Callable[[EngineOptions], Buckets]) -> EngineOptions:
    """Options that tell TensorRT the range of shapes; without it, each new shape would build an engine, for minutes."""
    if options.providers[0] != TENSORRT or options.device.profiles or not path.is_file():
        return options
    inputs = onnx.load(str(path), load_external_data=False).graph.input
    shapes = {value.name: [d.dim_value or None for d in value.type.tensor_type.shape.dim] for value in inputs}
    return replace(options, device=replace(options.device, profiles=profiles(shapes, plan(options))))


def profiles(inputs: Mapping[str, Sequence[Any]], buckets: Buckets) -> tuple[Profile, ...]:
    """The least, usual and largest shape of each input in TensorRT's notation, such as ``pixels:1x224x224x3``.

    Args:
        inputs: the declared shapes. The first dimension is the batch; others that are no numbers are the length.
        buckets: the shapes that will run. TensorRT optimises for the usual shape: the most rows at the longest length.
    """
    lengths = buckets.lengths or (0,)
    rows = buckets.most_rows(lengths[0]) if buckets.lengths else buckets.rows[-1]
    usual = buckets.most_rows(lengths[-1]) if buckets.lengths else rows
    extremes = ((1, 1), (usual, lengths[-1]), (rows, lengths[-1]))

    def written(name: str, shape: Sequence[Any], count: int, length: int) -> str:
        sizes = [count, *(size if isinstance(size, int) else length for size in shape[1:])]
        return f"{name}:{'x'.join(map(str, sizes))}"

    first, second, third = ([written(name, shape, *one) for name, shape in inputs.items()] for one in extremes)
    return tuple(zip(first, second, third, strict=True))
