"""Operators that several architectures share, in ONNX Runtime's fused forms."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Linear, Weights


def layer_norm(graph: GraphBuilder, x: Value, weights: Weights, prefix: str, epsilon: float) -> Value:
    """LayerNorm over the last axis; ``weights`` holds ``prefix.weight`` and ``prefix.bias``."""
    gamma, beta = f"{prefix}.weight", f"{prefix}.bias"
    inputs = [x, graph.constant(gamma, weights[gamma]), graph.constant(beta, weights[beta])]
    return graph.op("LayerNormalization", inputs, axis=-1, epsilon=epsilon)


def self_attention(
    graph: GraphBuilder,
    x: Value,
    weights: Weights,
    names: tuple[str, str, str],
    heads: int,
    linear: Linear,
    *,
    lengths: Value | None = None,
) -> Value:
    """Multi-head self-attention up to, and without, its output projection.

    The three projections are one product: one read of ``x``, one quantisation of it.

    Args:
        graph: where the nodes go.
        x: [n, t, h] hidden states.
        weights: holds ``<name>.weight`` [h, h] (PyTorch's [out, in]) and ``<name>.bias`` [h] for each of ``names``.
        names: the query, key and value projections.
        heads: number of attention heads.
        linear: how products are computed.
        lengths: int32 [n], how many leading positions are tokens; all of them when absent.
    """
    hidden = weights[f"{names[0]}.bias"].shape[0]
    weight = np.concatenate([weights[f"{name}.weight"].T for name in names], axis=1)
    bias = np.concatenate([weights[f"{name}.bias"] for name in names])
    packed = linear(graph, x, f"{names[0]}_key_value.weight", weight)
    query, key, value = graph.ops("Split", [packed, graph.ints(hidden, hidden, hidden)], 3, axis=-1)
    inputs = [query, key, value, graph.constant(f"{names[0]}_key_value.bias", bias)]
    if lengths is not None:
        inputs.append(lengths)
    return graph.fused("MultiHeadAttention", inputs, num_heads=heads)


def unit_rows(graph: GraphBuilder, x: Value) -> Value:
    """Scale each row of [n, d] to L2 norm 1."""
    return graph.op("LpNormalization", [x], axis=-1, p=2)


def mean_over_tokens(graph: GraphBuilder, x: Value, mask: Value) -> Value:
    """Sum [n, t, h] over the positions where int64 ``mask`` [n, t] is 1; L2 makes the sum and the mean the same.

    A product instead of ReduceSum, and of two equal mask rows instead of one: ReduceSum adds in another order for
    n = 1 than for n > 1, and a one-row product adds in another order when t = 4k + 3. Both would give a text another
    vector in other company (measured: 56 of 64 texts).
    """
    row = graph.op("Unsqueeze", [graph.op("Cast", [mask], to=TensorProto.FLOAT), graph.ints(1)])
    rows = graph.op("Concat", [row, row], axis=1)
    return first_row(graph, graph.op("MatMul", [rows, x]))


def project_rows(graph: GraphBuilder, x: Value, name: str, weights: Weights) -> Value:
    """``x @ W.T`` for [n, k] rows, computed as pairs so that n = 1 takes the same kernel as n > 1."""
    row = graph.op("Unsqueeze", [x, graph.ints(1)])
    pair = graph.op("Concat", [row, row], axis=1)
    product = graph.op("MatMul", [pair, graph.constant(name, weights[name].T)])
    return first_row(graph, product)


def first_row(graph: GraphBuilder, x: Value) -> Value:
    """[n, t, h] to its first position, [n, h]."""
    return graph.op("Gather", [x, graph.constant("first", np.array(0, np.int64))], axis=1)
