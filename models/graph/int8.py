"""int8 products whose result for a row depends on that row alone.

``quantize_dynamic`` scales activations by the maximum over the whole batch, so the vector of a text depends on the other
texts in the batch. Here no scale depends on other rows: a row is scaled by its own maximum or, if it comes from a
LayerNorm and the model was calibrated, by a constant. Outliers are first moved from the activations into the weights
(SmoothQuant, Xiao et al. 2023, arXiv 2211.10438).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from models.graph.builder import GraphBuilder, Value
from models.graph.calibration import Calibration
from models.graph.linear import Origin, Vector, shifted_bias

CENTRE = 128  # zero point of unsigned activations; signed × signed products are seven times slower in ONNX Runtime
GELU_CENTRE = 24  # leaves 231 of 255 steps for GELU's positive values
GELU_FLOOR = 0.17  # neither GELU (-0.16997) nor QuickGELU (-0.1636) goes lower
TINY = np.float32(1e-12)


class Int8Linear:
    """uint8 rows × int8 weights with one scale per output channel, float32 elsewhere."""

    precision = "int8"
    dtype: type[np.floating[Any]] = np.float32
    standard = False

    def __init__(self, calibration: Calibration | None = None) -> None:
        """Quantise with the measured ranges of ``calibration``; without it, scale every row by its own maximum."""
        self._calibration = calibration or Calibration()
        # By centre; shared, because these products have the same rows.
        self._zero_points: dict[int, Value] = {}

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
        measured = self._calibration.products.get(name)
        if measured is not None and measured.exponents.any():
            factors = measured.factors
            weight = (weight * factors[:, None]).astype(np.float32)
            offset = None if offset is None else offset / factors
            x = graph.op("Mul", [x, graph.constant(f"{name}.smoothing", (1 / factors).astype(np.float32))])
        quantised, scale = quantise_columns(weight)
        bias = shifted_bias(bias, offset, quantised * scale.astype(np.float64))
        constants = (graph.constant(f"{name}.int8", quantised), graph.constant(f"{name}.scale", scale))
        if origin is Origin.PIXELS:
            product = _product(graph, x, constants, _scalar(graph, 1 / 255), 0)
        elif measured is not None and measured.step:
            step = graph.constant(f"{name}.step", np.array(measured.step, np.float32))
            rows = graph.op("QuantizeLinear", [x, step, _zero_point(graph, measured.centre)])
            shift = [] if bias is None else [graph.constant(f"{name}.bias", bias.astype(np.float32))]
            product, bias = _product(graph, rows, constants, step, measured.centre, shift), None
        else:
            product = self._by_row(graph, x, constants, origin)
        if bias is not None:
            product = graph.op("Add", [product, graph.constant(f"{name}.bias", bias.astype(np.float32))])
        return product if residual is None else graph.op("Add", [product, residual])

    def apart(self) -> Self:
        """See ``Linear``."""
        return type(self)(self._calibration)

    def _by_row(self, graph: GraphBuilder, x: Value, constants: tuple[Value, Value], origin: Origin) -> Value:
        centre = GELU_CENTRE if origin is Origin.GELU else CENTRE
        step = row_steps(graph, x, origin)
        rows = graph.op("QuantizeLinear", [x, step, self._zeros(graph, step, centre)], axis=0)
        product = _product(graph, rows, constants, _one(graph), centre)
        return graph.op("Mul", [product, graph.op("Unsqueeze", [step, graph.ints(1)])])

    def _zeros(self, graph: GraphBuilder, step: Value, centre: int) -> Value:
        """The zero point repeated for each row, as QuantizeLinear needs it."""
        if centre not in self._zero_points:
            value = numpy_helper.from_array(np.array([centre], np.uint8))
            self._zero_points[centre] = graph.op("ConstantOfShape", [graph.op("Shape", [step])], value=value)
        return self._zero_points[centre]


def row_steps(graph: GraphBuilder, x: Value, origin: Origin) -> Value:
    """The quantisation step of each row of float32 [rows, k], float32 [rows]."""
    if origin is Origin.GELU:
        highest = _row_maximum(graph, x)
        step = graph.op("Mul", [highest, _scalar(graph, 1 / (255 - GELU_CENTRE))])
        return graph.op("Max", [step, _scalar(graph, GELU_FLOOR / GELU_CENTRE)])
    highest = _row_maximum(graph, graph.op("Abs", [x]))
    # A row of zeros has step 0: whatever integers it becomes, multiplying by the step gives 0 again.
    return graph.op("Mul", [highest, _scalar(graph, 1 / 127)])


def _row_maximum(graph: GraphBuilder, x: Value) -> Value:
    if graph.opset < 18:  # rewritten graphs keep their opset, where axes are an attribute
        return graph.op("ReduceMax", [x], axes=[-1], keepdims=0)
    return graph.op("ReduceMax", [x, graph.ints(-1)], keepdims=0)


def quantise_columns(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights [k, m] as int8 and the float32 scale of each column [m]."""
    scale = (np.maximum(np.abs(weight).max(axis=0), TINY) / np.float32(127)).astype(np.float32)
    return np.clip(np.rint(weight / scale), -127, 127).astype(np.int8), scale


def quantise_rows(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A table [rows, k] as int8 and the float32 scale of each row [rows, 1]."""
    quantised, scale = quantise_columns(table.T)
    return np.ascontiguousarray(quantised.T), scale[:, None]


def _product(
    graph: GraphBuilder,
    rows: Value,
    constants: tuple[Value, Value],
    step: Value,
    centre: int,
    bias: list[Value] | None = None,
) -> Value:
    weight, scale = constants
    optional = ["", *bias] if bias else []
    return graph.fused("MatMulIntegerToFloat", [rows, weight, step, scale, _zero_point(graph, centre), *optional])


def _zero_point(graph: GraphBuilder, centre: int) -> Value:
    return graph.constant(f"zero_point_{centre}", np.array(centre, np.uint8))


def _one(graph: GraphBuilder) -> Value:
    return graph.constant("one", np.array(1, np.float32))


def _scalar(graph: GraphBuilder, value: float) -> Value:
    return graph.constant(f"float_{value:.8g}", np.array(value, np.float32))
