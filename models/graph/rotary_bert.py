"""Encoders that turn queries and keys by their position, and whose feed-forward layers have a gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from models.graph.attention import added_mask, attend
from models.graph.builder import GraphBuilder, Value
from models.graph.embeddings import embedding_rows
from models.graph.layers import activate, arrangement, layer_norm
from models.graph.linear import Linear, Origin, Weights
from models.graph.positions import places, rotated, rotations, window

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Attention:
    """How one layer's attention sees positions."""

    theta: float  # of its rotations
    reach: int | None = None  # the greatest distance that it sees; None: all


@dataclass(frozen=True)
class Layer:
    """The weights of one layer, under names that all families share; matrices are PyTorch's, [out, in]."""

    name: str
    attention: Attention
    packed: Matrix  # query, key and value above each other
    output: Matrix
    gate: Matrix  # the activation is applied to this one
    up: Matrix
    down: Matrix
    first_norm: str | None  # before attention, or behind it; None: there is none
    second_norm: str


@dataclass(frozen=True)
class RotaryConfig:
    """What the encoder depends on beside its layers."""

    heads: int
    hidden: int
    positions: int
    epsilon: float
    activation: str
    words: str  # the name of the table of words
    norm: str  # of the LayerNorm behind it
    types: str | None = None  # of the table of token types
    last_norm: str | None = None  # behind the last layer
    norm_bias: bool = True  # whether LayerNorms have one
    norms_first: bool = False  # LayerNorms come before attention and feed-forward, instead of behind their residuals


def tokens(graph: GraphBuilder, config: RotaryConfig, layers: list[Layer], weights: Weights, linear: Linear) -> Value:
    """Add the nodes from ``input_ids`` int64 [n, t] and ``attention_mask`` int64 [n, t] to token vectors [n, t, hidden]."""
    lengths = graph.op("ReduceSum", ["attention_mask", graph.ints(1)], keepdims=0)
    shape = arrangement(graph, "input_ids")
    norm = partial(_norm, graph, weights, config)
    x = embedding_rows(graph, "words", weights[config.words], "input_ids", linear)
    if config.types is not None:
        x = graph.op("Add", [x, graph.weight("type", weights[config.types][0])])
    x = norm(graph.op("Reshape", [x, graph.ints(-1, config.hidden)]), config.norm)
    masks = _Masks(graph, config)
    for layer in layers:
        attention = partial(_attention, graph, config, layer, linear, masks, shape=shape, lengths=lengths)
        feed_forward = partial(_feed_forward, graph, config, layer, linear)
        if config.norms_first:
            x = attention(norm(x, layer.first_norm) if layer.first_norm else x, residual=x)
            x = feed_forward(norm(x, layer.second_norm), residual=x)
        else:
            x = norm(attention(x, residual=x), str(layer.first_norm))
            x = norm(feed_forward(x, residual=x), layer.second_norm)
    return graph.op("Reshape", [norm(x, config.last_norm) if config.last_norm else x, shape])


class _Masks:
    """Rotations and windows, made once for all layers that share them."""

    def __init__(self, graph: GraphBuilder, config: RotaryConfig) -> None:
        self._graph, self._config = graph, config
        self._places = places(graph, "input_ids")
        self._windows: dict[int, Value] = {}
        self._tables: dict[float, tuple[Value, Value]] = {}

    def window(self, reach: int | None) -> Value | None:
        if reach is None or reach >= self._config.positions:
            return None
        if reach not in self._windows:
            seen = window(self._graph, "input_ids", reach)
            self._windows[reach] = added_mask(self._graph, seen) if self._graph.standard else seen
        return self._windows[reach]

    def rotate(self, theta: float) -> Callable[[Value], Value]:
        graph, config = self._graph, self._config
        if theta not in self._tables:
            cosines, sines = rotations(theta, config.hidden // config.heads, config.positions)
            self._tables[theta] = graph.weight(f"cos_{theta:g}", cosines), graph.weight(f"sin_{theta:g}", sines)
        if graph.standard:
            return lambda x: rotated(graph, x, self._tables[theta], self._places, config.heads)
        return lambda x: graph.op("RotaryEmbedding", [x, *self._tables[theta], self._places], num_heads=config.heads)


def _norm(graph: GraphBuilder, weights: Weights, config: RotaryConfig, x: Value, name: str) -> Value:
    scale = weights[f"{name}.weight"]
    bias = weights[f"{name}.bias"] if config.norm_bias else np.zeros_like(scale)
    return layer_norm(graph, x, {f"{name}.weight": scale, f"{name}.bias": bias}, name, config.epsilon)


def _attention(
    graph: GraphBuilder,
    config: RotaryConfig,
    layer: Layer,
    linear: Linear,
    masks: _Masks,
    x: Value,
    *,
    residual: Value,
    shape: Value,
    lengths: Value,
) -> Value:
    packed = linear(graph, x, f"{layer.name}.packed", layer.packed.T, origin=Origin.NORM)
    context = attend(
        graph,
        packed,
        config.hidden,
        config.heads,
        shape=shape,
        lengths=lengths,
        mask=masks.window(layer.attention.reach),
        rotate=masks.rotate(layer.attention.theta),
    )
    return linear(graph, context, f"{layer.name}.output", layer.output.T, residual=residual)


def _feed_forward(
    graph: GraphBuilder, config: RotaryConfig, layer: Layer, linear: Linear, x: Value, *, residual: Value
) -> Value:
    inner = len(layer.gate)
    both = linear(graph, x, f"{layer.name}.gate_up", np.concatenate([layer.gate, layer.up]).T, origin=Origin.NORM)
    gate, up = graph.ops("Split", [both, graph.ints(inner, inner)], 2, axis=-1)
    product = graph.op("Mul", [activate(graph, config.activation, gate), up])
    return linear(graph, product, f"{layer.name}.down", layer.down.T, residual=residual)
