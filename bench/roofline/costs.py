"""What one node costs a card, as ONNX Runtime's CUDA provider computes it. Read from its source, measured on no card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

Values = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Cost:
    """Launches of kernels, bytes that they read and write, floating-point operations of products."""

    launches: float = 0
    bytes: float = 0
    flop: float = 0

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.launches + other.launches, self.bytes + other.bytes, self.flop + other.flop)

    def __mul__(self, factor: float) -> Cost:
        """So many times."""
        return Cost(self.launches * factor, self.bytes * factor, self.flop * factor)


def cost(node: onnx.NodeProto, values: Values) -> Cost:
    """What a node costs.

    Args:
        node: of the graph.
        values: what its inputs and outputs were when the graph ran, by name; only their sizes count.
    """
    if node.op_type in FREE or _of_shapes(node, values):
        return Cost()
    return KINDS.get(node.op_type, _one_pass)(node, values)


FREE = frozenset({"Reshape", "Unsqueeze", "Squeeze", "Identity", "Shape", "Flatten"})  # other names for the same bytes
SHAPES = frozenset({"Concat", "Gather", "Slice", "Range", "Mul", "Add"})
SMALL = 8  # numbers of a shape, which the processor computes


def _of_shapes(node: onnx.NodeProto, values: Values) -> bool:
    read = [values[name] for name in node.input if name]
    return node.op_type in SHAPES and all(v.dtype == np.int64 and v.size <= SMALL for v in read)


def _bytes(names: list[str], values: Values) -> int:
    return sum(values[name].nbytes for name in names if name)


def _one_pass(node: onnx.NodeProto, values: Values) -> Cost:
    """One kernel that reads all inputs once and writes all outputs once."""
    return Cost(1, _bytes([*node.input, *node.output], values))


def _moved(node: onnx.NodeProto, values: Values) -> Cost:
    """One kernel that reads as much as it writes, of inputs that may be larger."""
    return Cost(1, 2 * _bytes(list(node.output), values))


def _made(node: onnx.NodeProto, values: Values) -> Cost:
    return Cost(1, _bytes(list(node.output), values))


def _product(node: onnx.NodeProto, values: Values) -> Cost:
    left, right, out = (values[name] for name in (*node.input[:2], node.output[0]))
    return Cost(1, left.nbytes + right.nbytes + out.nbytes, 2.0 * out.size * left.shape[-1])


def _gemm(node: onnx.NodeProto, values: Values) -> Cost:
    """A bias or a residual is first written into the result, by a kernel of its own, and read again by the product."""
    plain, out = _product(node, values), values[node.output[0]].nbytes
    if len(node.input) < 3 or not node.input[2]:
        return plain
    return plain + Cost(1, values[node.input[2]].nbytes + 2 * out)


def _attention(node: onnx.NodeProto, values: Values) -> Cost:
    """Attention proper, with scores that stay on the chip."""
    if node.domain != "com.microsoft":
        query, key = values[node.input[0]], values[node.input[1]]
        return Cost(1, _bytes([*node.input, *node.output], values), 4.0 * query.size * key.shape[1])
    # A product, one pass that adds the bias and splits, and attention.
    x, weight = values[node.input[0]], values[node.input[1]]
    rows, width = x.size / x.shape[-1], weight.shape[1]
    packed = rows * width * x.itemsize
    product = Cost(1, x.nbytes + weight.nbytes + packed, 2.0 * rows * x.shape[-1] * width)
    out = values[node.output[0]]
    return product + Cost(1, 2 * packed) + Cost(1, packed + out.nbytes, 4.0 * out.size * x.shape[1])


KINDS: dict[str, Callable[[onnx.NodeProto, Values], Cost]] = {
    "MatMul": _product,
    "FusedMatMul": _product,
    "Gemm": _gemm,
    "Attention": _attention,
    "Gather": _moved,
    "Slice": _moved,
    "Expand": _made,
}
