"""Serving graph of CLIP's text tower: token ids in, unit vectors in the space of the images out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnx
from onnx import TensorProto

from models.graph.builder import GraphBuilder, Value
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


def build(config: ClipTextConfig, weights: Weights, linear: Linear) -> onnx.ModelProto:
    """Build ``input_ids`` int64 [n, t], ``attention_mask`` int64 [n, t] → ``embedding`` float32 [n, projection].

    Computes the same as Hugging Face's ``CLIPTextModelWithProjection`` in inference, then normalises. Attention is causal,
    so padding on the right affects no token. The vector is that of the last token, the end of the text.
    """
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
    last = layer_norm(graph, _last_tokens(graph, x), weights, f"{model}.final_layer_norm", config.epsilon)
    projected = project_rows(graph, last, "text_projection.weight", weights)
    return graph.model(
        {name: (TensorProto.INT64, ["n", "t"]) for name in ("input_ids", "attention_mask")},
        ("embedding", unit_rows(graph, projected), ["n", config.projection]),
        {"embedserve.output": "unit", "embedserve.precision": linear.precision, "embedserve.pooling": "last"},
    )


def _last_tokens(graph: GraphBuilder, x: Value) -> Value:
    """The row of each input's last token: [n * t, h] to [n, h]."""
    length = graph.op("Shape", ["input_ids"], start=1, end=2)
    ends = graph.op("ReduceSum", ["attention_mask", graph.ints(1)], keepdims=0)
    one, zero = (graph.constant(name, np.array(value, np.int64)) for name, value in (("step", 1), ("start", 0)))
    count = graph.op("Squeeze", [graph.op("Shape", ["input_ids"], start=0, end=1)])
    starts = graph.op("Mul", [graph.op("Range", [zero, count, one]), length])
    return graph.op("Gather", [x, graph.op("Sub", [graph.op("Add", [starts, ends]), one])], axis=0)
