"""Appends what follows an encoder to a finished graph of one: pooling, dense layers, the vector's length."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from models.errors import ArtifactError
from models.graph.builder import GraphBuilder
from models.graph.head import MASK, Head, finish
from models.graph.sentence import RAW, TOKEN_OUTPUTS, UNIT

OLDEST = 13  # operators of older sets take their axes elsewhere
PREFIX = "embedserve/"
EMBEDDING = "embedding"


def token_output(model: onnx.ModelProto) -> str | None:
    """The name of the output with a vector per token; None if there is none."""
    names = {output.name for output in model.graph.output}
    return next((name for name in TOKEN_OUTPUTS if name in names), None)


def append_head(model: onnx.ModelProto, head: Head, width: int, named: str | None = None) -> onnx.ModelProto:
    """The model with one output, ``embedding`` float32 [n, width], instead of those that it had.

    Args:
        model: gives a vector for each token.
        head: what follows.
        width: dimensions of the vectors.
        named: its output with a vector per token, where that has none of the usual names; what the others alone needed goes.

    Raises:
        ArtifactError: it has no output with a vector per token, or its operators are too old.
    """
    if named is not None and named not in {output.name for output in model.graph.output}:
        raise ArtifactError(f"the graph has no output {named!r:.80}, which config.token_output names")
    tokens = named or token_output(model)
    if tokens is None:
        raise ArtifactError(f"the graph has no output {' or '.join(TOKEN_OUTPUTS)}, which could be pooled")
    opset = opset_of(model)
    if opset < OLDEST:
        raise ArtifactError(
            f"the graph is of opset {opset}; export it with {OLDEST} or newer, or with its pooling inside"
        )
    graph = GraphBuilder("head", opset=opset, prefix=PREFIX)
    value = _float32(graph, model, tokens)
    mask = _mask(graph, model)
    result = finish(graph, value, head)
    nodes = [_reading(node, mask) for node in graph.nodes]
    model.graph.node.extend([*nodes, helper.make_node("Identity", [result], [EMBEDDING], name=f"{PREFIX}output")])
    model.graph.initializer.extend(graph.initializers)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["n", width]))
    properties = {p.key: p.value for p in model.metadata_props} | {"embedserve.output": UNIT if head.unit else RAW}
    helper.set_model_props(model, properties)
    return model if named is None else pruned(model)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators; 0 where the file names none."""
    return next((int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without nodes and weights that none of its outputs needs."""
    needed = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(name for name in node.input if name)
            needed.update(_outer_names(node))
            kept.append(node)
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(weights)
    return model


def _outer_names(node: onnx.NodeProto) -> set[str]:
    """What the branches and bodies inside a node read, which may be values around it."""
    graphs = [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]
    inner = [one for graph in graphs for one in graph.node]
    names = {output.name for graph in graphs for output in graph.output}
    return names.union(*({*one.input, *_outer_names(one)} for one in inner))


def _float32(graph: GraphBuilder, model: onnx.ModelProto, tokens: str) -> str:
    kind = next(o.type.tensor_type.elem_type for o in model.graph.output if o.name == tokens)
    return tokens if kind == TensorProto.FLOAT else graph.op("Cast", [tokens], to=TensorProto.FLOAT)


def _mask(graph: GraphBuilder, model: onnx.ModelProto) -> str:
    """The mask as int64; it becomes an input of graphs that have none."""
    inputs = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    if MASK not in inputs:
        batch = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        model.graph.input.append(helper.make_tensor_value_info(MASK, TensorProto.INT64, batch))
        return MASK
    return MASK if inputs[MASK] == TensorProto.INT64 else graph.op("Cast", [MASK], to=TensorProto.INT64)


def _reading(node: onnx.NodeProto, mask: str) -> onnx.NodeProto:
    """The node with its mask read as int64."""
    if mask != MASK and list(node.output) != [mask]:
        for index, name in enumerate(node.input):
            if name == MASK:
                node.input[index] = mask
    return node
