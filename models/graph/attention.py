"""Attention: one fused operator of ONNX Runtime, or standard ones that every provider knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Linear, Origin, Vector, Weights
from models.graph.ordered_product import ordered_product

Mask = Callable[[], Value]
HIDDEN = -1e9  # added to a score, leaves 0 of it after the softmax; finite, so that no provider makes it not a number


def self_attention(
    graph: GraphBuilder,
    x: Value,
    weights: Weights,
    names: tuple[str, str, str],
    heads: int,
    linear: Linear,
    *,
    shape: Value,
    offset: Vector | None = None,
    lengths: Value | None = None,
    causal: bool = False,
    mask: Value | None = None,
) -> Value:
    """Multi-head self-attention of normalised rows, without the output projection, [rows, h].

    The three projections are one product, so ``x`` is read and quantised once. The key's bias adds the same number to all
    scores of a query and cancels in the softmax. The value's bias adds the same to every row, so it is part of the output
    projection's bias (``output_bias``).

    Args:
        graph: where the nodes go.
        x: [rows, h] hidden states, from a LayerNorm.
        weights: holds ``<name>.weight`` [h, h] (PyTorch's [out, in]) and ``<name>.bias`` [h] for each of ``names``.
        names: the query, key and value projections.
        heads: number of attention heads.
        linear: how products are computed.
        shape: int64 [3]: n, t, -1, to arrange rows as [n, t, h].
        offset: what was added to ``x`` for a later layer.
        lengths: int64 [n], how many leading positions are tokens; None if all are.
        causal: whether a position sees only itself and those before it.
        mask: added to the scores, or bool and true where a position is seen (never in a graph of standard operators);
            [1, heads or 1, t, t].
    """
    query, key, value = (weights[f"{name}.weight"].T for name in names)
    hidden = query.shape[1]
    weight = np.concatenate([query, key, value], axis=1)
    bias = np.concatenate([weights[f"{names[0]}.bias"], np.zeros(2 * hidden, np.float32)])
    packed = linear(graph, x, f"{names[0]}_key_value", weight, bias=bias, offset=offset, origin=Origin.NORM)
    return attend(graph, packed, hidden, heads, shape=shape, lengths=lengths, causal=causal, mask=mask)


def attend(
    graph: GraphBuilder,
    packed: Value,
    hidden: int,
    heads: int,
    *,
    shape: Value,
    lengths: Value | None = None,
    causal: bool = False,
    mask: Value | None = None,
    rotate: Callable[[Value], Value] | None = None,
) -> Value:
    """Multi-head attention of queries, keys and values beside each other, [rows, 3 · hidden] to [rows, hidden].

    Args:
        graph: where the nodes go.
        packed: the three projections.
        hidden: the width of each.
        heads: number of attention heads.
        shape: as for ``self_attention``, and so are the next three.
        lengths: int64 [n].
        causal: whether a position sees only itself and those before it.
        mask: [1, heads or 1, t, t].
        rotate: what is done to queries and keys, [n, t, hidden] each.
    """
    arranged = graph.op("Reshape", [packed, shape])
    parts = graph.ops("Split", [arranged, graph.ints(hidden, hidden, hidden)], 3, axis=-1)
    if rotate is not None:
        parts = [rotate(parts[0]), rotate(parts[1]), parts[2]]
    if graph.standard:
        masks: list[Mask] = []
        if mask is not None:
            masks.append(lambda: mask)
        if lengths is not None:
            masks.append(partial(_hidden_padding, graph, parts[0], lengths))
        if causal:
            masks.append(partial(_hidden_future, graph, parts[0]))
        return standard_attention(graph, parts, hidden, heads, masks)
    optional = [] if lengths is None else ["", "", "", lengths]
    if mask is not None:
        optional = [mask, *optional[1:]]
    context = graph.op("Attention", [*parts, *optional], q_num_heads=heads, kv_num_heads=heads, is_causal=int(causal))
    return graph.op("Reshape", [context, graph.ints(-1, hidden)])


def standard_attention(
    graph: GraphBuilder, parts: list[Value], hidden: int, heads: int, masks: Sequence[Mask] = ()
) -> Value:
    """Attention in products, sums and a softmax.

    Args:
        graph: where the nodes go.
        parts: queries, keys and values, [n, t, hidden] each; queries may be fewer than the others.
        hidden: the width of each.
        heads: number of attention heads.
        masks: added to the scores, each of a shape that fits [n, heads, t, t]; made where they are added, so that the
            bytes of graphs stay as they are.

    Returns:
        [rows of the queries, hidden].
    """
    by_head = graph.ints(0, 0, heads, hidden // heads)  # 0: as before
    query, key, value = (graph.op("Reshape", [part, by_head]) for part in parts)
    query, value = (graph.op("Transpose", [part], perm=[0, 2, 1, 3]) for part in (query, value))
    key = graph.op("Transpose", [key], perm=[0, 2, 3, 1])
    query = graph.op("Mul", [query, graph.constant("attention_scale", np.array((hidden // heads) ** -0.5, np.float32))])
    scores = graph.op("MatMul", [query, key])
    for mask in masks:
        scores = graph.op("Add", [scores, mask()])
    context = graph.op("MatMul", [graph.op("Softmax", [scores], axis=-1), value])
    context = graph.op("Transpose", [context], perm=[0, 2, 1, 3])
    return graph.op("Reshape", [context, graph.ints(-1, hidden)])


def _hidden_padding(graph: GraphBuilder, x: Value, lengths: Value) -> Value:
    """float32 [n, 1, 1, t] for x [n, t, h]: 0 at an input's tokens, far below after them."""
    if "padding" not in graph.shared:
        seen = graph.op("Less", [_positions(graph, x), graph.op("Unsqueeze", [lengths, graph.ints(1)])])
        graph.shared["padding"] = graph.op("Unsqueeze", [added_mask(graph, seen), graph.ints(1, 2)])
    return graph.shared["padding"]


def _hidden_future(graph: GraphBuilder, x: Value) -> Value:
    """float32 [t, t] for x [n, t, h]: 0 at a position and those before it, far below after it."""
    if "future" not in graph.shared:
        places = _positions(graph, x)
        seen = graph.op("LessOrEqual", [places, graph.op("Unsqueeze", [places, graph.ints(1)])])
        graph.shared["future"] = added_mask(graph, seen)
    return graph.shared["future"]


def _positions(graph: GraphBuilder, x: Value) -> Value:
    """int64 [t] for x [n, t, h]: 0 to t - 1."""
    if "positions" not in graph.shared:
        length = graph.op("Squeeze", [graph.op("Shape", [x], start=1, end=2)])
        zero, one = (graph.constant(f"int_{i}", np.array(i, np.int64)) for i in (0, 1))
        graph.shared["positions"] = graph.op("Range", [zero, length, one])
    return graph.shared["positions"]


def added_mask(graph: GraphBuilder, seen: Value) -> Value:
    """float32, to be added to scores: 0 where bool ``seen``, far below elsewhere."""
    zero, far = (graph.constant(name, np.array(i, np.float32)) for name, i in (("seen", 0), ("hidden", HIDDEN)))
    return graph.op("Where", [seen, zero, far])


def output_bias(weights: Weights, value: str, output: str) -> Vector:
    """The output projection's bias plus the value projection's bias times the output weights, float64 [h]."""
    return weights[f"{output}.bias"] + ordered_product(weights[f"{value}.bias"], weights[f"{output}.weight"].T)
