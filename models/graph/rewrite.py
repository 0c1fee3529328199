"""Ready-made ONNX graphs in other precisions; in int8, products with constant weights become ones that are scaled row by row."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.version_converter
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from models.errors import ArtifactError
from models.graph.append import opset_of
from models.graph.builder import GraphBuilder
from models.graph.int8 import Int8Linear, quantise_rows

SMALLEST = 64  # weights with a shorter side stay float32: int8 would save too little for its error


def quantise_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with int8 products and lookup tables; inputs, outputs and their names stay.

    Each row is scaled by its own maximum, so its result depends on that row alone.

    Raises:
        ArtifactError: the graph holds no float32 product with a constant weight, or cannot be converted to an opset that
            has the int8 operators.
    """
    model = _modern(model)
    weights = {t.name: t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    graph = GraphBuilder("rewritten", opset=opset_of(model), prefix="int8/")
    nodes: list[onnx.NodeProto] = []
    replaced: set[str] = set()
    for node in model.graph.node:
        weight = _constant(node, weights)
        if weight is None:
            nodes.append(node)
            continue
        name = f"{weight.name}.{len(nodes)}" if weight.name in replaced else weight.name  # a weight that is used twice
        replaced.add(weight.name)
        nodes += _rewrite(graph, node, name, numpy_helper.to_array(weight))
    if not replaced:
        raise ArtifactError("the graph holds no float32 product with a constant weight; it may be quantised already")
    _replace(model, nodes, graph, replaced)
    return model


def mark_bf16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph, to be computed in bfloat16: its weights stay, and a property tells engines to do so."""
    model.metadata_props.add(key="embedserve.precision", value="bf16")
    return model


def _modern(model: onnx.ModelProto) -> onnx.ModelProto:
    opset = opset_of(model)
    if opset >= 13:  # it has QuantizeLinear with a scale per row: no conversion, which could change a meaning
        return model
    try:
        return onnx.version_converter.convert_version(model, 17)
    except Exception as error:  # the converter raises RuntimeError and its own types
        raise ArtifactError(f"opset {opset} cannot be converted to one with int8 rows: {error}") from error


def _constant(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> onnx.TensorProto | None:
    """The weight that a node multiplies by or looks up in; None if it is not to be quantised."""
    index = {"MatMul": 1, "Gemm": 1, "Gather": 0}.get(node.op_type)
    tensor = weights.get(node.input[index]) if index is not None and node.domain == "" else None
    if tensor is None or len(tensor.dims) != 2 or min(tensor.dims) < SMALLEST:
        return None
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    plain = {"axis": 0, "alpha": 1.0, "beta": 1.0, "transA": 0}
    return tensor if all(attributes.get(name, value) == value for name, value in plain.items()) else None


def _rewrite(graph: GraphBuilder, node: onnx.NodeProto, name: str, weight: NDArray[np.float32]) -> list[onnx.NodeProto]:
    start = len(graph.nodes)
    if node.op_type == "Gather":
        quantised, scale = quantise_rows(weight)
        rows = graph.op("Gather", [graph.constant(f"{name}.int8", quantised), node.input[1]], axis=0)
        scales = graph.op("Gather", [graph.constant(f"{name}.row_scale", scale), node.input[1]], axis=0)
        result = graph.op("Mul", [graph.cast(rows, np.float32), scales])
    elif node.op_type == "Gemm":
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        result = Int8Linear()(graph, node.input[0], name, weight.T if transposed else weight)
        if len(node.input) == 3 and node.input[2]:
            result = graph.op("Add", [result, node.input[2]])
    else:
        flat = graph.op("Reshape", [node.input[0], graph.ints(-1, weight.shape[0])])
        product = Int8Linear()(graph, flat, name, weight)
        shape = graph.op("Concat", [_leading(graph, node.input[0]), graph.ints(weight.shape[1])], axis=0)
        result = graph.op("Reshape", [product, shape])
    made = graph.nodes[start:]
    made.append(helper.make_node("Identity", [result], list(node.output), name=f"{node.name or name}_int8"))
    return made


def _leading(graph: GraphBuilder, x: str) -> str:
    """All dimensions of ``x`` except the last."""
    shape = graph.op("Shape", [x])
    return graph.op("Slice", [shape, graph.ints(0), graph.ints(-1), graph.ints(0)])


def _replace(model: onnx.ModelProto, nodes: list[onnx.NodeProto], graph: GraphBuilder, replaced: set[str]) -> None:
    used = {name for node in nodes for name in node.input}
    kept = [t for t in model.graph.initializer if t.name not in replaced or t.name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend([*kept, *graph.initializers])
    if not any(o.domain == "com.microsoft" for o in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    properties = {p.key: p.value for p in model.metadata_props} | {"embedserve.precision": "int8"}
    helper.set_model_props(model, properties)
