"""A small ONNX graph builder. Its names are deterministic, so that equal weights give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.files import write_whole

OPSET = 24  # the first whose Attention takes the lengths of padded rows; twice as fast as com.microsoft's operator
MICROSOFT_OPSET = 1  # com.microsoft: ONNX Runtime's fused operators
IR_VERSION = 11
ONNX_TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16}

Value = str  # the name of a tensor inside the graph


class GraphBuilder:
    """Collects nodes and weights; the bytes of the model depend on nothing else."""

    def __init__(
        self, name: str, dtype: type[np.floating[Any]] = np.float32, opset: int = OPSET, *, prefix: str = "", standard: bool = False,
    ) -> None:  # fmt: skip
        """Start an empty graph that stores and uses floating-point weights as ``dtype``.

        ``prefix`` is put before every name, so that the nodes can be added to another graph. ``standard`` asks for operators
        that every provider knows, instead of those that ONNX Runtime has fused.
        """
        self.standard = standard
        self.shared: dict[str, Value] = {}  # values that several layers need, by what they are
        self.opset = opset
        self._prefix = prefix
        self._name = name
        self.dtype = np.dtype(dtype)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._counter = 0

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        """The nodes so far, in order."""
        return self._nodes

    @property
    def initializers(self) -> list[onnx.TensorProto]:
        """The weights so far, in order."""
        return list(self._initializers.values())

    def constant(self, name: str, array: NDArray[Any]) -> Value:
        """Add a weight under ``name``; a second call with the same name returns the first weight."""
        name = self._prefix + name
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def weight(self, name: str, array: NDArray[Any]) -> Value:
        """Add a floating-point weight, converted to the graph's dtype."""
        return self.constant(name, array.astype(self.dtype))

    def cast(self, x: Value, dtype: Any) -> Value:
        """Convert ``x`` to a floating-point type."""
        return self.op("Cast", [x], to=ONNX_TYPES[np.dtype(dtype)])

    def ints(self, *values: int) -> Value:
        """Add a 1-D int64 constant, as shapes and axes are written."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, np.int64))

    def op(self, op_type: str, inputs: Sequence[Value], *, domain: str = "", **attributes: Any) -> Value:
        """Add a node with one output and return that output."""
        return self.ops(op_type, inputs, 1, domain=domain, **attributes)[0]

    def ops(
        self, op_type: str, inputs: Sequence[Value], outputs: int, *, domain: str = "", **attributes: Any
    ) -> list[Value]:
        """Add a node with several outputs and return them."""
        self._counter += 1
        stem = f"{self._prefix}{op_type}_{self._counter}"
        names = [f"{stem}_{i}" if outputs > 1 else stem for i in range(outputs)]
        self._nodes.append(helper.make_node(op_type, list(inputs), names, name=stem, domain=domain, **attributes))
        return names

    def fused(self, op_type: str, inputs: Sequence[Value], **attributes: Any) -> Value:
        """Add one of ONNX Runtime's fused operators (domain ``com.microsoft``) with one output."""
        return self.op(op_type, inputs, domain="com.microsoft", **attributes)

    def model(
        self,
        inputs: dict[str, tuple[int, Sequence[str | int]]],
        output: tuple[str, Value, Sequence[str | int]],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        """Make the model.

        Args:
            inputs: ONNX element type and shape, by name.
            output: its public name, the value that it renames, and its shape; always float32.
            metadata: the model's properties; they are written sorted by key.
        """
        public, value, shape = output
        nodes = [*self._nodes, helper.make_node("Identity", [value], [public], name="output")]
        graph = helper.make_graph(
            nodes,
            self._name,
            [helper.make_tensor_value_info(name, element, dims) for name, (element, dims) in inputs.items()],
            [helper.make_tensor_value_info(public, TensorProto.FLOAT, shape)],
            list(self._initializers.values()),
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", MICROSOFT_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="embedserve")
        for key in sorted(metadata):
            model.metadata_props.add(key=key, value=metadata[key])
        return model


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write the model; a killed build leaves no file that looks complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, model.SerializeToString(deterministic=True))
