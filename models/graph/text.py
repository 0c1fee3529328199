"""Serving graph of BERT-family sentence encoders: token ids and mask in, unit vectors out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import onnx
from onnx import TensorProto

from models.errors import ArtifactError
from models.graph.builder import GraphBuilder, Value
from models.graph.layers import first_row, layer_norm, mean_over_tokens, self_attention, unit_rows
from models.graph.linear import Linear, Weights

Pooling = Literal["mean", "cls"]


@dataclass(frozen=True)
class BertConfig:
    """The fields of a BERT ``config.json`` that the graph depends on."""

    layers: int
    heads: int
    hidden: int
    vocabulary: int
    positions: int
    epsilon: float

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> Self:
        """Read a Hugging Face ``config.json``.

        Raises:
            ArtifactError: the architecture is not one this graph computes.
        """
        kind, activation = config.get("model_type"), config.get("hidden_act")
        if kind != "bert":
            raise ArtifactError(f"model_type is {kind!r}; the text graph computes 'bert'")
        if activation != "gelu":
            raise ArtifactError(f"hidden_act is {activation!r}; the text graph computes 'gelu'")
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise ArtifactError("position_embedding_type must be 'absolute'")
        return cls(
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            hidden=config["hidden_size"],
            vocabulary=config["vocab_size"],
            positions=config["max_position_embeddings"],
            epsilon=config["layer_norm_eps"],
        )


def build(config: BertConfig, weights: Weights, linear: Linear, pooling: Pooling = "mean") -> onnx.ModelProto:
    """Build the graph ``input_ids`` int64 [n, t], ``attention_mask`` int64 [n, t] → ``embedding`` float32 [n, hidden].

    Computes what Hugging Face's ``BertModel`` does in inference, then sentence-transformers' pooling and L2 norm.
    The mask must be ones followed by zeros, as padding on the right gives it.
    """
    graph = GraphBuilder("text_encoder")
    counts = graph.op("ReduceSum", ["attention_mask", graph.ints(1)], keepdims=0)
    lengths = graph.op("Cast", [counts], to=TensorProto.INT32)
    x = _embeddings(graph, config, weights)
    for layer in range(config.layers):
        x = _layer(graph, x, weights, f"encoder.layer.{layer}", config, linear, lengths)
    pooled = mean_over_tokens(graph, x, "attention_mask") if pooling == "mean" else first_row(graph, x)
    return graph.model(
        {name: (TensorProto.INT64, ["n", "t"]) for name in ("input_ids", "attention_mask")},
        ("embedding", unit_rows(graph, pooled), ["n", config.hidden]),
        {"embedserve.output": "unit", "embedserve.precision": linear.precision, "embedserve.pooling": pooling},
    )


def _embeddings(graph: GraphBuilder, config: BertConfig, weights: Weights) -> Value:
    words = graph.constant("words", weights["embeddings.word_embeddings.weight"])
    # Token types are all zero, so that row 0 of their table belongs to every position.
    table = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    length = graph.op("Gather", [graph.op("Shape", ["input_ids"]), graph.ints(1)])
    positions = graph.op("Slice", [graph.constant("positions", table), graph.ints(0), length, graph.ints(0)])
    x = graph.op("Add", [graph.op("Gather", [words, "input_ids"]), positions])
    return layer_norm(graph, x, weights, "embeddings.LayerNorm", config.epsilon)


def _layer(
    graph: GraphBuilder, x: Value, weights: Weights, prefix: str, config: BertConfig, linear: Linear, lengths: Value
) -> Value:
    this = f"{prefix}.attention.self"
    names = (f"{this}.query", f"{this}.key", f"{this}.value")
    context = self_attention(graph, x, weights, names, config.heads, linear, lengths=lengths)
    x = _project_and_add(graph, context, x, weights, f"{prefix}.attention.output", config, linear)
    up = f"{prefix}.intermediate.dense"
    inner = linear(graph, x, f"{up}.weight", weights[f"{up}.weight"].T)
    inner = graph.fused("BiasGelu", [inner, graph.constant(f"{up}.bias", weights[f"{up}.bias"])])
    return _project_and_add(graph, inner, x, weights, f"{prefix}.output", config, linear)


def _project_and_add(
    graph: GraphBuilder, x: Value, skip: Value, weights: Weights, prefix: str, config: BertConfig, linear: Linear
) -> Value:
    """LayerNorm(x @ W + b + skip)."""
    dense, norm = f"{prefix}.dense", f"{prefix}.LayerNorm"
    product = linear(graph, x, f"{dense}.weight", weights[f"{dense}.weight"].T)
    constants = [graph.constant(n, weights[n]) for n in (f"{norm}.weight", f"{norm}.bias", f"{dense}.bias")]
    return graph.fused("SkipLayerNormalization", [product, skip, *constants], epsilon=config.epsilon)
