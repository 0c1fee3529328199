"""A small ONNX graph builder: deterministic names, so that equal weights give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17  # the newest opset whose LayerNormalization and ReduceMax signatures every supported ORT optimises
MICROSOFT_OPSET = 1  # com.microsoft: ONNX Runtime's fused operators
IR_VERSION = 8

Value = str  # the name of a tensor inside the graph


class GraphBuilder:
    """Collects nodes and weights; ``save`` writes a model whose bytes depend on nothing but what was added."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._counter = 0

    def constant(self, name: str, array: NDArray[Any]) -> Value:
        """Add a weight under ``name`` (once: a second call with the same name returns the first)."""
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

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
        stem = f"{op_type}_{self._counter}"
        names = [f"{stem}_{i}" if outputs > 1 else stem for i in range(outputs)]
        self._nodes.append(helper.make_node(op_type, list(inputs), names, name=stem, domain=domain, **attributes))
        return names

    def fused(self, op_type: str, inputs: Sequence[Value], **attributes: Any) -> Value:
        """Add one of ONNX Runtime's fused operators (domain ``com.microsoft``) with one output."""
        return self.op(op_type, inputs, domain="com.microsoft", **attributes)

    def skip_layer_norm(self, inputs: Sequence[Value], epsilon: float) -> tuple[Value, Value]:
        """LayerNorm(input + skip + bias) and the sum itself: outputs 1 and 4 of the fused operator."""
        self._counter += 1
        stem = f"SkipLayerNormalization_{self._counter}"
        outputs = [stem, "", "", f"{stem}_sum"]
        node = helper.make_node(
            "SkipLayerNormalization", list(inputs), outputs, name=stem, domain="com.microsoft", epsilon=epsilon
        )
        self._nodes.append(node)
        return outputs[0], outputs[3]

    def model(
        self,
        inputs: dict[str, tuple[int, Sequence[str | int]]],
        output: tuple[str, Value, Sequence[str | int]],
        metadata: dict[str, str],
    ) -> onnx.ModelProto:
        """Close the graph.

        Args:
            inputs: name to (ONNX element type, shape).
            output: public name, the value it renames, shape; always float32.
            metadata: written into the model's properties, sorted by key.
        """
        public, value, shape = output
        nodes = [*self._nodes, helper.make_node("Identity", [value], [public], name="output")]
        graph = helper.make_graph(
            nodes,
            self._name,
            [helper.make_tensor_value_info(name, kind, dims) for name, (kind, dims) in inputs.items()],
            [helper.make_tensor_value_info(public, TensorProto.FLOAT, shape)],
            list(self._initializers.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", MICROSOFT_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="embedserve")
        for key in sorted(metadata):
            model.metadata_props.add(key=key, value=metadata[key])
        return model


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write the model so that a killed build never leaves a file that looks whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(model.SerializeToString(deterministic=True))
    partial.replace(path)
