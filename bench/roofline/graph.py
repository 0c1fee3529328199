"""The costs of a whole graph, by kind of node, at any batch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from bench.roofline.costs import Cost, Values, cost

PROBES = (2, 3)  # batches that are run; every cost grows by the same for each further input


@dataclass(frozen=True)
class Card:
    """What a card can do."""

    bandwidth: float  # bytes per second of its memory
    flops: float  # floating-point operations per second
    launch_s: float  # from one kernel to the next

    def seconds(self, spent: Cost) -> float:
        """The least that it takes: memory or arithmetic, whichever is slower, and the launches."""
        return max(spent.bytes / self.bandwidth, spent.flop / self.flops) + spent.launches * self.launch_s


@dataclass
class Roofline:
    """Nodes, costs and the least time of one graph and batch, by kind of node."""

    batch: int
    nodes: Counter[str] = field(default_factory=Counter)
    costs: dict[str, Cost] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> Cost:
        """Of all nodes."""
        return sum(self.costs.values(), Cost())

    @property
    def rate(self) -> float:
        """Inputs per second that are possible at most."""
        return self.batch / sum(self.seconds.values())


def roofline(model: onnx.ModelProto, card: Card, batch: int, tokens: int) -> Roofline:
    """The roofline of a graph for ``batch`` inputs; texts have ``tokens`` tokens each."""
    fewer, more = (_values(model, count, tokens) for count in PROBES)
    found = Roofline(batch)
    for node in model.graph.node:
        first = cost(node, fewer)
        each = cost(node, more) + first * -1
        spent = first + each * (batch - PROBES[0])
        name = node.op_type if not node.domain else f"{node.op_type}*"
        found.nodes[name] += 1
        found.costs[name] = found.costs.get(name, Cost()) + spent
        found.seconds[name] = found.seconds.get(name, 0.0) + card.seconds(spent)
    return found


def _values(model: onnx.ModelProto, batch: int, tokens: int) -> Values:
    """Every value of a run, and the weights."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if name]
    del whole.graph.output[:]
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {}
    for value in session.get_inputs():
        if "int64" in value.type:
            feeds[value.name] = np.ones((batch, tokens), np.int64)
        else:
            feeds[value.name] = np.zeros((batch, *value.shape[1:]), np.uint8)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return weights | feeds | dict(zip(names, session.run(names, feeds), strict=True))
