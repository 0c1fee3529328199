"""Serving graph of CLIP's text tower: token ids in, unit vectors in the space of the images out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnx
from onnx import TensorProto

from models.graph.builder import GraphBuilder, Value
from models.graph.checks import require_heads, require_shapes
from models.graph.clip import clip_layer
from models.graph.embeddings import embedding_rows, leading_rows
from models.graph.layers import arrangement, layer_norm, project_rows, unit_rows
from models.graph.linear import Linear, Weights


@dataclass(frozen=True)
class ClipTextConfig:
    """The fields of a CLIP text ``config.json`` that the graph depends on."""

    layers: int = 12
    heads: int = 8
    hidden: int = 512
    inner: int = 2048
    vocabulary: int = 49408
    positions: int = 77
    projection: int = 512
    epsilon: float = 1e-5
    activation: str = "quick_gelu"

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> Self:
        """Read a Hugging Face CLIP ``config.json`` (whole model or text part)."""
        text = {**config, **config.get("text_config", {})}
        return cls(
            layers=text.get("num_hidden_layers", cls.layers),
            heads=text.get("num_attention_heads", cls.heads),
            hidden=text.get("hidden_size", cls.hidden),
            inner=text.get("intermediate_size", cls.inner),
            vocabulary=text.get("vocab_size", cls.vocabulary),
            positions=text.get("max_position_embeddings", cls.positions),
            projection=config.get("projection_dim", text.get("projection_dim", cls.projection)),
            epsilon=text.get("layer_norm_eps", cls.epsilon),
            activation=text.get("hidden_act", cls.activation),
        )


def build(config: ClipTextConfig, weights: Weights, linear: Linear, end: int | None = None) -> onnx.ModelProto:
    """Build ``input_ids`` int64 [n, t], ``attention_mask`` int64 [n, t] → ``embedding`` float32 [n, projection].

    Computes the same as Hugging Face's ``CLIPTextModelWithProjection`` in inference, then normalises. Attention is causal,
    so padding on the right affects no token. The vector is that of the first token ``end``; None takes the last one of all.

    Raises:
        ArtifactError: the weights have other sizes than ``config`` says.
    """
    _require_sizes(config, weights)
    graph = GraphBuilder("clip_text_encoder", linear.dtype, standard=linear.standard)
    model = "text_model"
    words = embedding_rows(graph, "words", weights[f"{model}.embeddings.token_embedding.weight"], "input_ids", linear)
    table = weights[f"{model}.embeddings.position_embedding.weight"]
    x = graph.op("Add", [words, leading_rows(graph, "positions", table, "input_ids")])
    x = graph.op("Reshape", [x, graph.ints(-1, config.hidden)])
    shape = arrangement(graph, "input_ids")
    for layer in range(config.layers):
        prefix = f"{model}.encoder.layers.{layer}"
        x = clip_layer(
            graph,
            x,
            weights,
            prefix,
            config.heads,
            config.epsilon,
            linear,
            shape=shape,
            causal=True,
            activation=config.activation,
        )
    last = layer_norm(graph, _last_tokens(graph, x, end), weights, f"{model}.final_layer_norm", config.epsilon)
    projected = project_rows(graph, last, "text_projection.weight", weights)
    return graph.model(
        {name: (TensorProto.INT64, ["n", "t"]) for name in ("input_ids", "attention_mask")},
        ("embedding", unit_rows(graph, projected), ["n", config.projection]),
        {"embedserve.output": "unit", "embedserve.precision": linear.precision, "embedserve.pooling": "last"},
    )


def _require_sizes(config: ClipTextConfig, weights: Weights) -> None:
    require_heads(config.hidden, config.heads)
    stem = "text_model.encoder.layers."
    shapes = {
        "text_model.embeddings.token_embedding.weight": (config.vocabulary, config.hidden),
        "text_model.embeddings.position_embedding.weight": (config.positions, config.hidden),
        "text_projection.weight": (config.projection, config.hidden),
        **{f"{stem}{layer}.mlp.fc1.weight": (config.inner, config.hidden) for layer in range(config.layers)},
    }
    require_shapes(weights, shapes)


def _last_tokens(graph: GraphBuilder, x: Value, end: int | None) -> Value:
    """The row of each input's end: [n * t, h] to [n, h]."""
    length = graph.op("Shape", ["input_ids"], start=1, end=2)
    if end is None:
        ends = graph.op("ReduceSum", ["attention_mask", graph.ints(1)], keepdims=0)
    else:  # also where somebody's text spells it, which is where the library looks
        same = graph.op("Equal", ["input_ids", graph.constant("end", np.array(end, np.int64))])
        first = graph.op("ArgMax", [graph.op("Cast", [same], to=TensorProto.INT32)], axis=1, keepdims=0)
        ends = graph.op("Add", [first, graph.constant("behind", np.array(1, np.int64))])
    one, zero = (graph.constant(name, np.array(value, np.int64)) for name, value in (("step", 1), ("start", 0)))
    count = graph.op("Squeeze", [graph.op("Shape", ["input_ids"], start=0, end=1)])
    starts = graph.op("Mul", [graph.op("Range", [zero, count, one]), length])
    return graph.op("Gather", [x, graph.op("Sub", [graph.op("Add", [starts, ends]), one])], axis=0)
