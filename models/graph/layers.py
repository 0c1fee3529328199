"""Layers that several architectures share. Hidden states are [rows, h], one row per token of each input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from models.errors import ArtifactError
from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Vector, Weights


def layer_norm(
    graph: GraphBuilder, x: Value, weights: Weights, prefix: str, epsilon: float, *, carry: Vector | None = None
) -> Value:
    """LayerNorm over the last axis; ``weights`` holds ``prefix.weight`` and ``prefix.bias``.

    Args:
        graph: where the nodes go.
        x: [..., h].
        weights: the model's.
        prefix: of the two weights' names.
        epsilon: added to the variance.
        carry: [h], added to the result at no cost: the bias of the later product that takes this result as its residual.
    """
    gamma, beta = weights[f"{prefix}.weight"], weights[f"{prefix}.bias"]
    shifted = beta if carry is None else beta + carry
    inputs = [x, graph.weight(f"{prefix}.weight", gamma), graph.weight(f"{prefix}.bias", shifted)]
    return graph.op("LayerNormalization", inputs, axis=-1, epsilon=epsilon)


ACTIVATIONS: dict[str, Callable[[GraphBuilder, Value], Value]] = {
    "quick_gelu": lambda graph, x: quick_gelu(graph, x, 1.702),
    "gelu": lambda graph, x: graph.op("Gelu", [x]),
    "gelu_pytorch_tanh": lambda graph, x: graph.op("Gelu", [x], approximate="tanh"),
    "silu": lambda graph, x: quick_gelu(graph, x, 1.0),
}


def activate(graph: GraphBuilder, name: str, x: Value) -> Value:
    """Apply the activation that config.json names.

    Raises:
        ArtifactError: it is none of ``ACTIVATIONS``.
    """
    if name not in ACTIVATIONS:
        raise ArtifactError(f"config.json: hidden_act is {name!r}; computed are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name](graph, x)


def arrangement(graph: GraphBuilder, batch: Value) -> Value:
    """int64 [3]: the leading two dimensions of ``batch`` and -1, to turn rows back into [n, t, h]."""
    leading = graph.op("Shape", [batch], end=2)
    return graph.op("Concat", [leading, graph.ints(-1)], axis=0)


def unit_rows(graph: GraphBuilder, x: Value) -> Value:
    """Scale each row of [n, d] to L2 norm 1, float32."""
    if graph.dtype != np.float32:
        x = graph.cast(x, np.float32)
    return graph.op("LpNormalization", [x], axis=-1, p=2)


def mean_over_tokens(graph: GraphBuilder, x: Value, mask: Value) -> Value:
    """Sum [n, t, h] over the positions where int64 ``mask`` [n, t] is 1; normalised, the sum equals the mean.

    The sum is a product with two equal rows of the mask. ReduceSum adds in another order for n = 1 than for n > 1, and a
    product with one row adds in another order when t = 4k + 3. Either way the vector of a text would depend on the other
    texts in the batch (measured: for 56 of 64 texts).
    """
    if graph.dtype != np.float32:
        x = graph.cast(x, np.float32)  # a sum of 256 half-precision rows would lose what the layers kept
    row = graph.op("Unsqueeze", [graph.op("Cast", [mask], to=TensorProto.FLOAT), graph.ints(1)])
    rows = graph.op("Concat", [row, row], axis=1)
    return first_row(graph, graph.op("MatMul", [rows, x]))


def project_rows(graph: GraphBuilder, x: Value, name: str, weights: Weights) -> Value:
    """``x @ W.T`` for [n, k] rows. Each row is computed twice, so that n = 1 takes the same kernel as n > 1."""
    row = graph.op("Unsqueeze", [x, graph.ints(1)])
    pair = graph.op("Concat", [row, row], axis=1)
    product = graph.op("MatMul", [pair, graph.weight(name, weights[name].T)])
    return first_row(graph, product)


def quick_gelu(graph: GraphBuilder, x: Value, steepness: float) -> Value:
    """``x * sigmoid(steepness * x)``."""
    if not graph.standard:
        return graph.fused("QuickGelu", [x], alpha=steepness)
    steep = graph.op("Mul", [x, graph.constant(f"steepness_{steepness:g}", np.array(steepness, np.float32))])
    return graph.op("Mul", [x, graph.op("Sigmoid", [steep])])


def first_row(graph: GraphBuilder, x: Value) -> Value:
    """The first position of [n, t, h], as [n, h]."""
    return graph.op("Gather", [x, graph.constant("first", np.array(0, np.int64))], axis=1)
