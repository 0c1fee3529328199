"""What turns a text's token vectors into its vector: pooling, dense layers, the length of the vector, its norm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from models.graph.builder import GraphBuilder, Value
from models.graph.layers import first_row, mean_over_tokens, unit_rows
from models.graph.steps import Activation, Pooling

MASK = "attention_mask"


@dataclass(frozen=True)
class Dense:
    """A layer of sentence-transformers' ``Dense``: ``activation(x @ weight.T + bias)``, and what is added to it."""

    weight: NDArray[np.float32]  # [m, k], as PyTorch has it
    bias: NDArray[np.float32] | None  # [m]
    activation: Activation
    residual: NDArray[np.float32] | bool = False  # True adds x itself; weights [m, k] add ``x @ residual.T``


@dataclass(frozen=True)
class Head:
    """The steps behind an encoder, in their order."""

    pooling: tuple[Pooling, ...] = ("mean",)  # several are written one after the other
    skip: int = 0  # leading tokens that are no part of the pooling: a prompt's
    dense: tuple[Dense, ...] = ()
    dimensions: int | None = None  # the leading dimensions that are kept; None keeps all
    unit: bool = True  # vectors of length 1

    def width(self, hidden: int) -> int:
        """Dimensions of the vectors, for token vectors of ``hidden``."""
        width = self.dense[-1].weight.shape[0] if self.dense else hidden * len(self.pooling)
        return width if self.dimensions is None else min(width, self.dimensions)


def finish(graph: GraphBuilder, tokens: Value, head: Head) -> Value:
    """Token vectors [n, t, h] and the input ``attention_mask`` int64 [n, t] → vectors float32 [n, width].

    Padding is on the right. The vector of a text is the same to the last bit in all company, if its token vectors are.
    """
    if head == Head(head.pooling) and head.pooling in (("mean",), ("cls",)):  # a sum points where the mean does
        plain = mean_over_tokens(graph, tokens, MASK) if head.pooling == ("mean",) else first_row(graph, tokens)
        return unit_rows(graph, plain)
    if graph.dtype != np.float32:
        tokens = graph.cast(tokens, np.float32)
    rows = _Rows(graph, tokens, head.skip)
    parts = [rows.pooled(mode) for mode in head.pooling]
    x = parts[0] if len(parts) == 1 else graph.op("Concat", parts, axis=-1)
    for index, layer in enumerate(head.dense):
        x = _dense(graph, x, layer, f"dense.{index}")
    if head.dimensions is not None:
        x = graph.op("Slice", [x, graph.ints(0), graph.ints(head.dimensions), graph.ints(-1)])
    return unit_rows(graph, x) if head.unit else x


class _Rows:
    """The token vectors of a batch, and which of them are pooled."""

    def __init__(self, graph: GraphBuilder, tokens: Value, skip: int) -> None:
        self._graph, self._tokens, self._skip = graph, tokens, skip
        self._mask = graph.op("Cast", [MASK], to=TensorProto.FLOAT)
        axis = graph.constant("token_axis", np.array(1, np.int64))
        self._places = graph.op("CumSum", [self._mask, axis])  # 1, 2, 3, ... over the tokens
        self._taken = self._mask
        if skip:
            behind = graph.op("Greater", [self._places, self._number("skip", skip)])
            self._taken = graph.op("Mul", [self._mask, graph.op("Cast", [behind], to=TensorProto.FLOAT)])

    def pooled(self, mode: Pooling) -> Value:
        """[n, h]."""
        if mode == "cls":
            first = self._graph.constant("first_taken", np.array(self._skip, np.int64))
            return self._graph.op("Gather", [self._tokens, first], axis=1)
        if mode == "max":
            return self._max()
        if mode == "lasttoken":
            return self._last()
        weights = self._taken
        if mode == "weightedmean":
            weights = self._graph.op("Mul", [self._taken, self._places])
        count = self._graph.op("ReduceSum", [weights, self._graph.ints(1)], keepdims=1)
        if mode == "mean_sqrt_len_tokens":
            count = self._graph.op("Sqrt", [count])
        return self._graph.op("Div", [self._sum(weights), count])

    def _sum(self, weights: Value) -> Value:
        """The sum of the tokens' vectors by their weights, as a product with two equal rows: see ``mean_over_tokens``."""
        row = self._graph.op("Unsqueeze", [weights, self._graph.ints(1)])
        rows = self._graph.op("Concat", [row, row], axis=1)
        return first_row(self._graph, self._graph.op("MatMul", [rows, self._tokens]))

    def _max(self) -> Value:
        taken = self._graph.op("Cast", [self._taken], to=TensorProto.BOOL)
        taken = self._graph.op("Unsqueeze", [taken, self._graph.ints(2)])
        lowest = self._number("lowest", -np.inf)
        masked = self._graph.op("Where", [taken, self._tokens, lowest])
        if self._graph.opset >= 18:
            return self._graph.op("ReduceMax", [masked, self._graph.ints(1)], keepdims=0)
        return self._graph.op("ReduceMax", [masked], axes=[1], keepdims=0)

    def _last(self) -> Value:
        """The product with a row that is 1 at the last token: exact, whatever stands beside it."""
        length = self._graph.op("ReduceSum", [self._mask, self._graph.ints(1)], keepdims=1)
        at_end = self._graph.op("Cast", [self._graph.op("Equal", [self._places, length])], to=TensorProto.FLOAT)
        return self._sum(self._graph.op("Mul", [at_end, self._mask]))

    def _number(self, name: str, value: float) -> Value:
        return self._graph.constant(name, np.array(value, np.float32))


def _dense(graph: GraphBuilder, x: Value, layer: Dense, name: str) -> Value:
    out = _product(graph, x, f"{name}.weight", layer.weight)
    if layer.bias is not None:
        out = graph.op("Add", [out, graph.constant(f"{name}.bias", layer.bias)])
    out = _activated(graph, out, layer.activation)
    if layer.residual is False:
        return out
    added = x if layer.residual is True else _product(graph, x, f"{name}.residual", layer.residual)
    return graph.op("Add", [out, added])


def _product(graph: GraphBuilder, x: Value, name: str, weight: NDArray[np.float32]) -> Value:
    """``x @ weight.T`` in float32; each row twice, so that one row takes the same kernel as many."""
    row = graph.op("Unsqueeze", [x, graph.ints(1)])
    pair = graph.op("Concat", [row, row], axis=1)
    return first_row(graph, graph.op("MatMul", [pair, graph.constant(name, np.ascontiguousarray(weight.T))]))


def _activated(graph: GraphBuilder, x: Value, activation: Activation) -> Value:
    if activation == "identity":
        return x
    if activation == "silu":
        return graph.op("Mul", [x, graph.op("Sigmoid", [x])])
    if activation == "gelu":  # the operator Gelu is younger than many finished graphs
        root, half, one = (
            graph.constant(f"number_{name}", np.array(value, np.float32))
            for name, value in (("root2", np.sqrt(2)), ("half", 0.5), ("one", 1))
        )
        share = graph.op("Add", [graph.op("Erf", [graph.op("Div", [x, root])]), one])
        return graph.op("Mul", [graph.op("Mul", [x, half]), share])
    return graph.op({"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}[activation], [x])
