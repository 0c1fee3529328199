"""Layers that several architectures share. Hidden states are [rows, h], one row per token of each input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from models.errors import ArtifactError
from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Linear, Origin, Vector, Weights
from models.graph.ordered_product import ordered_product

HIDDEN = -1e9  # added to a score, leaves 0 of it after the softmax; finite, so that no provider makes it not a number


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
        mask: added to the scores, or bool and true where a position is seen; [1, heads or 1, t, t].
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
        if mask is not None:
            raise ArtifactError("this architecture masks attention, and there is no graph of that in bf16")
        return _standard_attention(graph, parts, hidden, heads, lengths, causal=causal)
    optional = [] if lengths is None else ["", "", "", lengths]
    if mask is not None:
        optional = [mask, *optional[1:]]
    context = graph.op("Attention", [*parts, *optional], q_num_heads=heads, kv_num_heads=heads, is_causal=int(causal))
    return graph.op("Reshape", [context, graph.ints(-1, hidden)])


def _standard_attention(
    graph: GraphBuilder, parts: list[Value], hidden: int, heads: int, lengths: Value | None, *, causal: bool
) -> Value:
    """The same in products, sums and a softmax: query, key and value [n, t, hidden] each to [n * t, hidden]."""
    by_head = graph.ints(0, 0, heads, hidden // heads)  # 0: as before
    query, key, value = (graph.op("Reshape", [part, by_head]) for part in parts)
    query, value = (graph.op("Transpose", [part], perm=[0, 2, 1, 3]) for part in (query, value))
    key = graph.op("Transpose", [key], perm=[0, 2, 3, 1])
    query = graph.op("Mul", [query, graph.constant("attention_scale", np.array((hidden // heads) ** -0.5, np.float32))])
    scores = graph.op("MatMul", [query, key])
    if lengths is not None:
        scores = graph.op("Add", [scores, _hidden_padding(graph, parts[0], lengths)])
    if causal:
        scores = graph.op("Add", [scores, _hidden_future(graph, parts[0])])
    context = graph.op("MatMul", [graph.op("Softmax", [scores], axis=-1), value])
    context = graph.op("Transpose", [context], perm=[0, 2, 1, 3])
    return graph.op("Reshape", [context, graph.ints(-1, hidden)])


def _hidden_padding(graph: GraphBuilder, x: Value, lengths: Value) -> Value:
    """float32 [n, 1, 1, t] for x [n, t, h]: 0 at an input's tokens, far below after them."""
    if "padding" not in graph.shared:
        seen = graph.op("Less", [_positions(graph, x), graph.op("Unsqueeze", [lengths, graph.ints(1)])])
        graph.shared["padding"] = graph.op("Unsqueeze", [_hide(graph, seen), graph.ints(1, 2)])
    return graph.shared["padding"]


def _hidden_future(graph: GraphBuilder, x: Value) -> Value:
    """float32 [t, t] for x [n, t, h]: 0 at a position and those before it, far below after it."""
    if "future" not in graph.shared:
        places = _positions(graph, x)
        seen = graph.op("LessOrEqual", [places, graph.op("Unsqueeze", [places, graph.ints(1)])])
        graph.shared["future"] = _hide(graph, seen)
    return graph.shared["future"]


def _positions(graph: GraphBuilder, x: Value) -> Value:
    """int64 [t] for x [n, t, h]: 0 to t - 1."""
    if "positions" not in graph.shared:
        length = graph.op("Squeeze", [graph.op("Shape", [x], start=1, end=2)])
        zero, one = (graph.constant(f"int_{i}", np.array(i, np.int64)) for i in (0, 1))
        graph.shared["positions"] = graph.op("Range", [zero, length, one])
    return graph.shared["positions"]


def _hide(graph: GraphBuilder, seen: Value) -> Value:
    zero, far = (graph.constant(name, np.array(i, np.float32)) for name, i in (("seen", 0), ("hidden", HIDDEN)))
    return graph.op("Where", [seen, zero, far])


def output_bias(weights: Weights, value: str, output: str) -> Vector:
    """The output projection's bias plus the value projection's bias times the output weights, float64 [h]."""
    return weights[f"{output}.bias"] + ordered_product(weights[f"{value}.bias"], weights[f"{output}.weight"].T)


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
