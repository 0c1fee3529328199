"""Linear layers by precision: how ``x @ W`` is computed inside a serving graph."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from models.graph.builder import GraphBuilder, Value

Weights = dict[str, NDArray[np.float32]]


class Linear(Protocol):
    """Computes products with constant weights; biases are left to the caller, whose next operator fuses them."""

    precision: str

    def __call__(self, graph: GraphBuilder, x: Value, name: str, weight: NDArray[np.float32]) -> Value:
        """Return ``x @ weight`` as float32; ``x`` is [..., k], ``weight`` is [k, m]."""
        ...


class Fp32Linear:
    """One float32 MatMul."""

    precision = "fp32"

    def __call__(self, graph: GraphBuilder, x: Value, name: str, weight: NDArray[np.float32]) -> Value:
        """See ``Linear``."""
        return graph.op("MatMul", [x, graph.constant(name, weight)])


class Int8Linear:
    """Per-row dynamic int8: every row of ``x`` is scaled by its own maximum.

    ``quantize_dynamic`` scales over the whole batch, so that a text's vector depends on its neighbours; a row's own
    maximum depends on that row alone. Activations are uint8 around 128 because signed × signed ``MatMulInteger`` is
    seven times slower than unsigned × signed; weights are int8 per output channel.
    """

    precision = "int8"

    def __call__(self, graph: GraphBuilder, x: Value, name: str, weight: NDArray[np.float32]) -> Value:
        """See ``Linear``."""
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / np.float32(127)
        quantised = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
        rows, row_scale = self._quantise_rows(graph, x)
        product = graph.op("MatMulInteger", [rows, graph.constant(f"{name}.int8", quantised), _zero_point(graph)])
        as_float = graph.op("Cast", [product], to=TensorProto.FLOAT)
        scaled = graph.op("Mul", [as_float, row_scale])
        return graph.op("Mul", [scaled, graph.constant(f"{name}.scale", scale.astype(np.float32))])

    @staticmethod
    def _quantise_rows(graph: GraphBuilder, x: Value) -> tuple[Value, Value]:
        """Return ``x`` as uint8 around 128 and the float32 scale of each row, [..., 1]."""
        maximum = graph.op("ReduceMax", [graph.op("Abs", [x])], axes=[-1], keepdims=1)
        maximum = graph.op("Max", [maximum, graph.constant("tiny", np.array(1e-12, np.float32))])
        scale = graph.op("Mul", [maximum, graph.constant("1/127", np.array(1 / 127, np.float32))])
        steps = graph.op("Round", [graph.op("Div", [x, scale])])
        shifted = graph.op("Add", [steps, graph.constant("128", np.array(128, np.float32))])
        return graph.op("Cast", [shifted], to=TensorProto.UINT8), scale


def _zero_point(graph: GraphBuilder) -> Value:
    return graph.constant("zero_point", np.array(128, np.uint8))


LINEARS: dict[str, type[Linear]] = {"fp32": Fp32Linear, "int8": Int8Linear}
