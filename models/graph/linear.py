"""How each precision computes ``x @ W`` in a serving graph."""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.graph.builder import GraphBuilder, Value
from models.graph.ordered_product import ordered_product

Weights = dict[str, NDArray[np.float32]]
Vector = NDArray[Any]


class Origin(Enum):
    """Where the rows of a product come from; this decides how they are quantised."""

    PIXELS = "pixels"  # uint8 values that stand for x / 255: nothing to quantise
    NORM = "norm"  # a LayerNorm, which divides each row by its standard deviation
    GELU = "gelu"  # an activation that is never below -0.17
    OTHER = "other"


class Linear(Protocol):
    """Computes products with constant weights."""

    precision: str
    dtype: type[np.floating[Any]]  # of weights and hidden states outside the products
    standard: bool  # the graph has operators alone that every provider knows, instead of ONNX Runtime's fused ones

    def __call__(
        self,
        graph: GraphBuilder,
        x: Value,
        name: str,
        weight: NDArray[np.float32],
        *,
        bias: Vector | None = None,
        offset: Vector | None = None,
        residual: Value | None = None,
        origin: Origin = Origin.OTHER,
    ) -> Value:
        """Return ``(x - offset) @ weight + bias + residual``.

        Args:
            graph: where the nodes go.
            x: [rows, k].
            name: of the weight, unique in the graph.
            weight: [k, m].
            bias: [m]; None for 0.
            offset: [k], what an earlier layer added to ``x`` for a later one.
            residual: [rows, m]; None for 0.
            origin: where ``x`` comes from.
        """
        ...

    def apart(self) -> Self:
        """The same for products whose rows are of another number than the graph's others."""
        ...


class Fp32Linear:
    """One Gemm, which starts its sums at the bias or the residual."""

    precision = "fp32"
    dtype: type[np.floating[Any]] = np.float32
    standard = False

    def __call__(
        self,
        graph: GraphBuilder,
        x: Value,
        name: str,
        weight: NDArray[np.float32],
        *,
        bias: Vector | None = None,
        offset: Vector | None = None,
        residual: Value | None = None,
        origin: Origin = Origin.OTHER,
    ) -> Value:
        """See ``Linear``."""
        if origin is Origin.PIXELS:
            x = graph.op("Mul", [graph.cast(x, graph.dtype), graph.weight("1/255", np.array(1 / 255))])
        bias = shifted_bias(bias, offset, weight)
        inputs = [x, graph.weight(name, weight)]
        if bias is None and residual is None:
            return graph.op("MatMul", inputs)
        if bias is None or residual is None:
            start = residual or graph.weight(f"{name}.bias", np.asarray(bias))
            return graph.op("Gemm", [*inputs, start])
        product = graph.op("Gemm", [*inputs, graph.weight(f"{name}.bias", bias)])
        return graph.op("Add", [product, residual])

    def apart(self) -> Self:
        """See ``Linear``."""
        return self


class Fp16Linear(Fp32Linear):
    """The same with weights and hidden states in half precision, for GPUs."""

    precision = "fp16"
    dtype: type[np.floating[Any]] = np.float16


class Bf16Linear(Fp32Linear):
    """float32 weights that a provider rounds to bfloat16 where it multiplies; in operators that it knows."""

    precision = "bf16"
    standard = True


def shifted_bias(bias: Vector | None, offset: Vector | None, weight: Vector) -> Vector | None:
    """``bias - offset @ weight``, float64 [m]; ``bias`` itself without an offset."""
    if offset is None:
        return bias
    correction = ordered_product(offset, weight)
    return (0 if bias is None else np.asarray(bias, np.float64)) - correction
