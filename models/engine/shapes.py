"""What a graph's fixed shapes mean for its session: the range that TensorRT must know, and the memory of their buffers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from onnx.helper import tensor_dtype_to_np_dtype

from models.engine.buckets import Buckets
from models.engine.card_engine import SLOTS
from models.engine.card_memory import require_room
from models.engine.providers import TENSORRT
from models.engine.session import EngineOptions
from models.graph.onnx_file import check

Profile = tuple[str, str, str]
Inputs = Mapping[str, tuple[Sequence[Any], int]]  # of a graph: the declared shape and the bytes of an element of each


def with_profiles(path: Path, options: EngineOptions, plan: Callable[[EngineOptions], Buckets]) -> EngineOptions:
    """Options that tell TensorRT the range of shapes; without it, each new shape would build an engine, for minutes."""
    if options.providers[0] != TENSORRT or options.device.profiles or not path.is_file():
        return options
    shapes = {name: shape for name, (shape, _) in _inputs(path).items()}
    return replace(options, device=replace(options.device, profiles=profiles(shapes, plan(options))))


def bounded(path: Path, options: EngineOptions, buckets: Buckets | None) -> EngineOptions:
    """Options whose arena leaves room for the buffers that runs in fixed shapes keep on the card.

    Raises:
        ArtifactError: weights and buffers exceed the session's part of the card.
    """
    limit = options.device.memory_limit
    if limit is None or options.on_cpu or not path.is_file():
        return options
    buffers = 0 if buckets is None else SLOTS * buffer_bytes(_inputs(path), buckets)
    return replace(
        options, device=replace(options.device, memory_limit=require_room(limit, weight_bytes(path), buffers))
    )


def buffer_bytes(inputs: Inputs, buckets: Buckets) -> int:
    """What the inputs of every shape take, in bytes: each has a buffer of its own on the card.

    Args:
        inputs: the declared shape and the bytes of an element of each.
        buckets: the shapes that will run.
    """
    cells = [(rows, length or 1) for rows, length in buckets.shapes()]
    return sum(
        rows * size * math.prod(one if isinstance(one, int) else length for one in shape[1:])
        for shape, size in inputs.values()
        for rows, length in cells
    )


def weight_bytes(path: Path) -> int:
    """The size of a graph with the files that hold its weights."""
    return sum(file.stat().st_size for file in (path, *check(path).values()))


def _inputs(path: Path) -> Inputs:
    found = onnx.load(str(path), load_external_data=False).graph.input
    return {
        value.name: (
            [d.dim_value or None for d in value.type.tensor_type.shape.dim],
            tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).itemsize,
        )
        for value in found
    }


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
