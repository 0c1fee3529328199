"""How encoders tell positions apart, other than by the first rows of a table."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from models.graph.builder import GraphBuilder, Value

Table = NDArray[np.float32]


def counted_rows(graph: GraphBuilder, name: str, table: Table, ids: Value, padding: int) -> Value:
    """RoBERTa's rows of ``table`` [positions, h] for ``ids`` [n, t], giving [n, t, h].

    The first token has row ``padding + 1``, and a token with the id ``padding`` has row ``padding`` and is not counted, also
    where a text spells it.
    """
    equal = graph.op("Equal", [ids, graph.constant(f"{name}.padding", np.array(padding, np.int64))])
    counts = graph.op("Cast", [graph.op("Not", [equal])], to=TensorProto.INT64)
    counts = graph.op("Mul", [counts, "attention_mask"])  # what fills a batch up is not counted either
    places = graph.op("Mul", [graph.op("CumSum", [counts, graph.constant("axis_1", np.array(1, np.int64))]), counts])
    rows = graph.op("Add", [places, graph.constant(f"{name}.padding", np.array(padding, np.int64))])
    return graph.op("Gather", [graph.weight(name, table), rows])


def relative_bias(graph: GraphBuilder, name: str, table: Table, ids: Value, longest: int) -> Value:
    """MPNet's bias of attention scores, [1, heads, t, t] for ``ids`` [n, t], from ``table`` [buckets, heads]."""
    distances = np.arange(-longest + 1, longest)
    by_distance = table[_buckets(distances, len(table))]  # [2 longest - 1, heads]
    index = graph.op("Add", [_distances(graph, ids), graph.constant(f"{name}.zero", np.array(longest - 1, np.int64))])
    bias = graph.op("Gather", [graph.weight(name, by_distance.T), index], axis=1)
    return graph.op("Unsqueeze", [bias, graph.ints(0)])


def window(graph: GraphBuilder, ids: Value, reach: int) -> Value:
    """Which positions see each other, bool [1, 1, t, t]: those at most ``reach`` apart."""
    apart = graph.op("Abs", [_distances(graph, ids)])
    near = graph.op("LessOrEqual", [apart, graph.constant(f"reach_{reach}", np.array(reach, np.int64))])
    return graph.op("Unsqueeze", [near, graph.ints(0, 1)])


def places(graph: GraphBuilder, ids: Value) -> Value:
    """0, 1, … for each row of ``ids`` [n, t], int64 [n, t]."""
    return graph.op("Expand", [graph.op("Unsqueeze", [_range(graph, ids), graph.ints(0)]), graph.op("Shape", [ids])])


def rotations(theta: float, width: int, positions: int) -> tuple[Table, Table]:
    """Cosines and sines of rotary embeddings, [positions, width / 2] each, rounded as torch rounds the angles."""
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    frequencies = np.array([np.float32(1) / np.float32(np.float32(theta) ** e) for e in exponents], np.float32)
    angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies
    # math's functions give the same bits on every processor, numpy's do not.
    cosines, sines = (np.array([[f(a) for a in row] for row in angles.tolist()]) for f in (math.cos, math.sin))
    return cosines.astype(np.float32), sines.astype(np.float32)


def rotated(graph: GraphBuilder, x: Value, tables: tuple[Value, Value], at: Value, heads: int) -> Value:
    """``x`` [n, t, h], each head's halves turned by the angles of their positions, in standard operators.

    Args:
        graph: where the nodes go.
        x: queries or keys.
        tables: cosines and sines, [positions, h / heads / 2] each.
        at: int64 [n, t], the position of each token.
        heads: number of attention heads.
    """
    turns = [
        graph.op("Unsqueeze", [graph.op("Gather", [table, at]), graph.ints(2)]) for table in tables
    ]  # [n, t, 1, ...]
    cosines, sines = turns
    by_head = graph.op("Reshape", [x, graph.ints(0, 0, heads, -1)])
    left, right = graph.ops("Split", [by_head], 2, axis=-1, num_outputs=2)
    one = graph.op("Sub", [graph.op("Mul", [left, cosines]), graph.op("Mul", [right, sines])])
    other = graph.op("Add", [graph.op("Mul", [right, cosines]), graph.op("Mul", [left, sines])])
    return graph.op("Reshape", [graph.op("Concat", [one, other], axis=-1), graph.ints(0, 0, -1)])


def _distances(graph: GraphBuilder, ids: Value) -> Value:
    """Key minus query position, int64 [t, t]."""
    steps = _range(graph, ids)
    return graph.op(
        "Sub", [graph.op("Unsqueeze", [steps, graph.ints(0)]), graph.op("Unsqueeze", [steps, graph.ints(1)])]
    )


def _range(graph: GraphBuilder, ids: Value) -> Value:
    one, zero = (graph.constant(name, np.array(value, np.int64)) for name, value in (("step", 1), ("start", 0)))
    length = graph.op("Squeeze", [graph.op("Shape", [ids], start=1, end=2)])
    return graph.op("Range", [zero, length, one])


def _buckets(distances: NDArray[np.int64], count: int, most: int = 128) -> NDArray[np.int64]:
    """T5's: half of the buckets for each direction, of which half are exact and the others grow with the logarithm."""
    half = count // 2
    exact = half // 2
    far = np.abs(distances)
    logarithms = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact))
    steps = logarithms / np.float32(math.log(most / exact)) * np.float32(half - exact)
    large = np.minimum(exact + steps.astype(np.int64), half - 1)
    return np.where(distances > 0, half, 0) + np.where(far < exact, far, large)
