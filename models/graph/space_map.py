"""A map from one model's space into another's, as numbers and as the last nodes of a serving graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.errors import ArtifactError
from models.graph.append import EMBEDDING, OLDEST, opset_of, pruned
from models.graph.builder import GraphBuilder, Value
from models.graph.layers import first_row, unit_rows
from models.graph.sentence import POOLED_OUTPUTS, UNIT

PREFIX, BEFORE = "adapted/", "adapted/before"
Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Residual:
    """What a small network adds to a linear map: ``relu(x @ inner + inner_bias) @ outer``."""

    inner: Matrix  # [k, h]
    inner_bias: Matrix  # [h]
    outer: Matrix  # [h, m]


@dataclass(frozen=True, eq=False)
class SpaceMap:
    """``x @ weight + bias``, plus a residual where there is one, scaled to length 1."""

    weight: Matrix  # [k, m]
    bias: Matrix  # [m]
    residual: Residual | None = None

    @property
    def inputs(self) -> int:
        """Dimensions of the space that it maps from."""
        return int(self.weight.shape[0])

    @property
    def outputs(self) -> int:
        """Dimensions of the space that it maps into."""
        return int(self.weight.shape[1])

    def __call__(self, vectors: NDArray[np.floating[Any]]) -> Matrix:
        """Unit vectors [n, k] of one space as unit vectors of the other, float32 [n, m]."""
        out = vectors @ self.weight + self.bias
        if self.residual is not None:
            hidden = np.maximum(vectors @ self.residual.inner + self.residual.inner_bias, 0)
            out = out + hidden @ self.residual.outer
        return unit(out)

    def tensors(self) -> dict[str, Matrix]:
        """Its numbers by the names that they have in a file: ``weight`` [k, m], ``bias`` [m], and those of the residual."""
        found = {"weight": self.weight, "bias": self.bias}
        if self.residual is not None:
            found |= {f"residual.{name}": getattr(self.residual, name) for name in Residual.__dataclass_fields__}
        return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}


def unit(vectors: NDArray[np.floating[Any]]) -> Matrix:
    """Rows scaled to length 1, float32 [n, d]; a row of zeros stays."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    scaled: Matrix = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def of_tensors(tensors: dict[str, Matrix], name: str) -> SpaceMap:
    """The map that a file holds.

    Raises:
        ArtifactError: the file holds something else, or shapes that do not fit each other.
    """
    parts = {f"residual.{part}" for part in Residual.__dataclass_fields__}
    if set(tensors) - {"weight", "bias"} not in (set(), parts) or not {"weight", "bias"} <= set(tensors):
        raise ArtifactError(f"{name} is no map between spaces: it holds {sorted(tensors)}")
    own = {part.removeprefix("residual."): tensors[part] for part in parts & set(tensors)}
    found = SpaceMap(tensors["weight"], tensors["bias"], Residual(**own) if own else None)
    try:
        finite = np.isfinite(found(np.zeros((1, found.inputs), np.float32))).all()
    except (ValueError, IndexError) as error:
        raise ArtifactError(f"{name}: the shapes of its numbers do not fit each other: {error}") from error
    if not finite or not all(np.isfinite(array).all() for array in tensors.values()):
        raise ArtifactError(f"{name} holds numbers that are not finite")
    return found


def append_map(model: onnx.ModelProto, mapping: SpaceMap, to: str) -> onnx.ModelProto:
    """A graph whose vectors lie in another space: with ``mapping`` behind its own, and one output, ``embedding``.

    Args:
        model: gives a vector for each input.
        mapping: from its space.
        to: the version into whose space, for the file's properties.

    Raises:
        ArtifactError: it gives a vector for each token only, or its operators are too old.
    """
    output = next((o for name in POOLED_OUTPUTS for o in model.graph.output if o.name == name), None)
    if output is None or len(output.type.tensor_type.shape.dim) != 2:
        raise ArtifactError(
            "the graph gives no vector for each input, which could be mapped; add the model with its pooling (--pooling)"
        )
    opset = opset_of(model)
    if opset < OLDEST:
        raise ArtifactError(f"the graph is of opset {opset}; a map needs {OLDEST} or newer")
    if any(node.name.startswith(PREFIX) for node in model.graph.node):
        raise ArtifactError("the graph has a map already")
    before = _renamed(model, output.name)
    graph = GraphBuilder("adapted", opset=opset, prefix=PREFIX)
    if output.type.tensor_type.elem_type != TensorProto.FLOAT:
        before = graph.op("Cast", [before], to=TensorProto.FLOAT)
    result = _nodes(graph, unit_rows(graph, before), mapping)
    model.graph.node.extend([*graph.nodes, helper.make_node("Identity", [result], [EMBEDDING], name=f"{PREFIX}output")])
    model.graph.initializer.extend(graph.initializers)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["n", mapping.outputs]))
    properties = {p.key: p.value for p in model.metadata_props}
    helper.set_model_props(model, properties | {"embedserve.output": UNIT, "embedserve.adapted": to})
    return pruned(model)


def _renamed(model: onnx.ModelProto, output: str) -> Value:
    """The vectors under another name, so that the mapped ones can have theirs."""
    if output != EMBEDDING:
        return output
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == output:
                    names[index] = BEFORE
    return BEFORE


def _nodes(graph: GraphBuilder, x: Value, mapping: SpaceMap) -> Value:
    """The map of [n, k]. Each row is computed twice, so that one row takes the same kernel as many."""
    row = graph.op("Unsqueeze", [x, graph.ints(1)])
    pair = graph.op("Concat", [row, row], axis=1)
    out = graph.op("MatMul", [pair, graph.constant("weight", mapping.weight)])
    if mapping.residual is not None:
        inner = graph.op("MatMul", [pair, graph.constant("inner", mapping.residual.inner)])
        inner = graph.op("Relu", [graph.op("Add", [inner, graph.constant("inner_bias", mapping.residual.inner_bias)])])
        out = graph.op("Add", [out, graph.op("MatMul", [inner, graph.constant("outer", mapping.residual.outer)])])
    out = graph.op("Add", [out, graph.constant("bias", mapping.bias)])
    return unit_rows(graph, first_row(graph, out))
