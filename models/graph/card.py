"""The variant of a graph for cards: fewer launches, and fewer passes over what a layer keeps. The same function.

A large batch on a card is bound by memory as often as by products, and every operator that is not fused reads and writes a
layer's rows once more. Rewritten are, where they stand (``bench.roofline`` shows what each saves):

- query, key and value in one product, their bias, and attention: ONNX Runtime's ``Attention``, with packed weights;
- a residual and the bias before it, summed by the LayerNorm that reads the sum (``SkipLayerNormalization``);
- a bias before a GELU, added by it (``BiasGelu``, ``FastGelu``). None adds one before ``QuickGelu``: that Gemm stays;
- pixels / 255, by the product that reads them;
- the last layer, where one row of each input is taken behind it (``early_rows``).

On a processor most of these are slower (docs/models.md); it computes them all the same, which is how they are tested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from models.errors import ArtifactError
from models.graph.early_rows import select_early

PREFIX = "card/"
FUSED = "com.microsoft"
EPSILON = 1e-5  # LayerNormalization's where a node names none
LENGTHS = 6  # which input of ONNX's Attention holds how many positions are tokens
BYTE = 255


def for_cards(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with ONNX Runtime's fused operators for cards; inputs, outputs, weights and the function stay.

    Raises:
        ArtifactError: there is no attention in it that could be packed, so that it would be no variant for cards.
    """
    graph = _Graph(select_early(model))
    for node in list(graph.nodes()):
        for rewrite in _REWRITES.get(node.op_type, ()):
            rewrite(graph, node)
    if not graph.packed:
        raise ArtifactError(
            "no attention of this graph can be packed for cards: none reads one product, split in three"
        )
    graph.write()
    return model


class _Graph:
    """A model while its nodes are replaced."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._nodes: list[onnx.NodeProto | None] = list(model.graph.node)
        self._places = {name: i for i, node in enumerate(model.graph.node) for name in node.output if name}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._readers = Counter(name for node in model.graph.node for name in node.input if name)
        self._readers.update(output.name for output in model.graph.output)
        self._before: dict[int, list[onnx.NodeProto]] = {}
        self.lengths: dict[str, str] = {}  # how many positions are tokens, as int32
        self.packed = 0

    def nodes(self) -> Iterator[onnx.NodeProto]:
        """Those that are left."""
        return (node for node in self._nodes if node is not None)

    def maker(self, name: str, *kinds: str) -> onnx.NodeProto | None:
        """The node that makes a value, if it is of one of these operators."""
        place = self._places.get(name)
        node = None if place is None else self._nodes[place]
        return node if node is not None and node.op_type in kinds else None

    def alone(self, name: str) -> bool:
        """Whether one node alone reads a value."""
        return self._readers[name] == 1

    def weight(self, name: str, array: np.ndarray) -> str:
        """Add a weight."""
        self.constants[PREFIX + name] = numpy_helper.from_array(array, PREFIX + name)
        return PREFIX + name

    def insert(
        self, before: onnx.NodeProto, op_type: str, inputs: list[str], domain: str = "", **attributes: Any
    ) -> str:
        """Add a node in front of one that stands in the graph; the value that it makes."""
        place = self._places[before.output[0]]
        name = f"{PREFIX}{op_type}_{place}_{len(self._before.get(place, ()))}"
        made = helper.make_node(op_type, inputs, [name], name=name, domain=domain, **attributes)
        self._before.setdefault(place, []).append(made)
        return name

    def replace(self, old: onnx.NodeProto, op_type: str, inputs: list[str], **attributes: Any) -> onnx.NodeProto:
        """Put a fused node where another stands, under the names of its outputs."""
        place = self._places[old.output[0]]
        new = helper.make_node(op_type, inputs, list(old.output), name=old.name, domain=FUSED, **attributes)
        self._nodes[place] = new
        return new

    def drop(self, node: onnx.NodeProto) -> None:
        """Take a node out."""
        self._nodes[self._places[node.output[0]]] = None

    def write(self) -> None:
        """Put nodes and weights into the model; weights that nobody reads any more go."""
        nodes = [
            one
            for place, node in enumerate(self._nodes)
            for one in [*self._before.get(place, ()), *([] if node is None else [node])]
        ]
        used = {name for node in nodes for name in node.input}
        graph = self._model.graph
        del graph.node[:], graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend(tensor for name, tensor in self.constants.items() if name in used)


def _pack_attention(graph: _Graph, attention: onnx.NodeProto) -> None:
    """One product, Split and ONNX's Attention become ONNX Runtime's, which multiplies, adds the bias and splits itself."""
    split = graph.maker(attention.input[0], "Split")
    if attention.domain or split is None or list(attention.input[:3]) != list(split.output):
        return
    arranged = graph.maker(split.input[0], "Reshape")
    product = None if arranged is None else graph.maker(arranged.input[0], "Gemm")
    unknown = [name for i, name in enumerate(attention.input) if name and i not in (0, 1, 2, LENGTHS)]
    if (
        arranged is None
        or product is None
        or unknown
        or not {product.input[1], product.input[2]} <= set(graph.constants)
    ):
        return
    rows = graph.insert(attention, "Reshape", [product.input[0], arranged.input[1]])
    inputs = [rows, product.input[1], product.input[2]]
    if len(attention.input) > LENGTHS:
        lengths = attention.input[LENGTHS]
        if lengths not in graph.lengths:
            graph.lengths[lengths] = graph.insert(attention, "Cast", [lengths], to=onnx.TensorProto.INT32)
        inputs.append(graph.lengths[lengths])
    said = {a.name: a.i for a in attention.attribute}
    graph.replace(
        attention, "Attention", inputs, num_heads=said["q_num_heads"], unidirectional=said.get("is_causal", 0)
    )
    for node in (product, arranged, split):
        graph.drop(node)
    graph.packed += 1


def _sum_in_norm(graph: _Graph, norm: onnx.NodeProto) -> None:
    """A sum of a product, its bias and a residual becomes part of the LayerNorm that reads it, and an output of it where others do."""
    total = norm.input[0]
    added = graph.maker(total, "Add")
    product = graph.maker(added.input[0] if added is not None else total, "Gemm")
    if product is None or (added is not None and not graph.alone(product.output[0])):
        return
    start = product.input[2]
    if (start in graph.constants) is not (added is not None):
        return
    residual = start if added is None else added.input[1]
    rows = graph.insert(product, "MatMul", list(product.input[:2]))
    inputs = [rows, residual, norm.input[1], norm.input[2], *([] if added is None else [start])]
    others = not graph.alone(total)
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), EPSILON)
    fused = graph.replace(norm, "SkipLayerNormalization", inputs, epsilon=epsilon)
    if others:
        fused.output.extend(["", "", total])
    for node in (product, added):
        if node is not None:
            graph.drop(node)


def _bias_in_gelu(graph: _Graph, gelu: onnx.NodeProto) -> None:
    """The bias of a product becomes the GELU's."""
    product = graph.maker(gelu.input[0], "Gemm")
    if gelu.domain or product is None or product.input[2] not in graph.constants or not graph.alone(product.output[0]):
        return
    rows = graph.insert(product, "MatMul", list(product.input[:2]))
    approximate = any(a.name == "approximate" and a.s == b"tanh" for a in gelu.attribute)
    graph.replace(gelu, "FastGelu" if approximate else "BiasGelu", [rows, product.input[2]])
    graph.drop(product)


def _scale_in_product(graph: _Graph, product: onnx.NodeProto) -> None:
    """Pixels / 255 becomes a factor of the product: 1/256, which every precision holds exactly, of weights · 256/255."""
    scaled = graph.maker(product.input[0], "Mul")
    if scaled is None or not graph.alone(scaled.output[0]) or graph.maker(scaled.input[0], "Cast") is None:
        return
    factor, weight = (graph.constants.get(name) for name in (scaled.input[1], product.input[1]))
    if factor is None or weight is None or not np.isclose(numpy_helper.to_array(factor), 1 / BYTE, rtol=1e-3):
        return
    values = numpy_helper.to_array(weight)
    larger = (values.astype(np.float64) * ((BYTE + 1) / BYTE)).astype(values.dtype)
    inputs = [scaled.input[0], graph.weight(weight.name, larger)]
    graph.replace(product, "FusedMatMul", inputs, alpha=1 / (BYTE + 1))
    graph.drop(scaled)


_REWRITES: dict[str, tuple[Callable[[_Graph, onnx.NodeProto], None], ...]] = {
    "Attention": (_pack_attention,),
    "LayerNormalization": (_sum_in_norm,),
    "Gelu": (_bias_in_gelu,),
    "MatMul": (_scale_in_product,),
}
