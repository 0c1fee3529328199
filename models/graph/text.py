"""BERT's encoder: token ids and mask in, token vectors out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from models.errors import ArtifactError
from models.graph.attention import output_bias, self_attention
from models.graph.builder import GraphBuilder, Value
from models.graph.checks import number, require_heads, require_padding, require_shapes, whole
from models.graph.embeddings import embedding_rows, leading_rows
from models.graph.layers import arrangement, layer_norm
from models.graph.linear import Linear, Origin, Vector, Weights
from models.graph.positions import counted_rows, relative_bias

COUNTED = ("roberta", "xlm-roberta", "camembert")  # their positions begin behind the padding's id
WITHOUT_TYPES = ("distilbert", "mpnet")
FAMILY = ("bert", "distilbert", "mpnet", *COUNTED)


@dataclass(frozen=True)
class BertConfig:
    """The fields of a ``config.json`` of BERT or one of its descendants that the graph depends on."""

    layers: int
    heads: int
    hidden: int
    vocabulary: int
    positions: int
    epsilon: float
    inner: int
    types: int  # 0 where tokens have none
    padding: int | None = None  # the token that positions are counted from; None: the first token has row 0
    buckets: int | None = None  # of the distances that attention scores depend on; None: they do not

    @classmethod
    def from_json(cls, config: dict[str, Any]) -> Self:
        """Read a Hugging Face ``config.json``.

        Raises:
            ArtifactError: this graph does not compute the architecture.
        """
        model_type, activation = config.get("model_type"), config.get("hidden_act")
        if model_type not in FAMILY:
            raise ArtifactError(
                f"config.json: model_type is {model_type!r}; the text graph computes {', '.join(FAMILY)}"
            )
        if activation != "gelu":
            raise ArtifactError(f"config.json: hidden_act is {activation!r}; the text graph computes 'gelu'")
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise ArtifactError("config.json: position_embedding_type must be 'absolute'")
        require_padding(config)
        return cls(
            layers=whole(config, "num_hidden_layers"),
            heads=whole(config, "num_attention_heads"),
            hidden=whole(config, "hidden_size"),
            vocabulary=whole(config, "vocab_size"),
            positions=whole(config, "max_position_embeddings"),
            epsilon=number(config, "layer_norm_eps"),
            inner=whole(config, "intermediate_size", 3072),
            types=whole(config, "type_vocab_size", 2) if model_type not in WITHOUT_TYPES else 0,
            padding=_padding(config),
            buckets=whole(config, "relative_attention_num_buckets", 32) if model_type == "mpnet" else None,
        )


def tokens(graph: GraphBuilder, config: BertConfig, weights: Weights, linear: Linear) -> Value:
    """Add the nodes from ``input_ids`` int64 [n, t] and ``attention_mask`` int64 [n, t] to token vectors [n, t, hidden].

    Computes the same as Hugging Face's ``BertModel`` in inference. The mask must be ones followed by zeros: padding is on
    the right.

    The output of a LayerNorm is the residual of a later product. The LayerNorm already adds that product's bias (``carry``),
    and every other product that reads it subtracts it again inside its own bias (``offset``). This saves a pass over the
    hidden states for each product.
    """
    _require_fit(config, weights)
    lengths = graph.op("ReduceSum", ["attention_mask", graph.ints(1)], keepdims=0)
    shape = arrangement(graph, "input_ids")
    layers = [f"encoder.layer.{i}" for i in range(config.layers)]
    carries: list[Vector | None] = [_attention_bias(weights, layer) for layer in layers]
    x = _embeddings(graph, config, weights, linear, carries[0])
    bias = _distance_bias(graph, config, weights)
    for layer, carry, following in zip(layers, carries, [*carries[1:], None], strict=True):
        x = _attention(graph, x, weights, layer, config, linear, shape, lengths, carry, bias)
        x = _feed_forward(graph, x, weights, layer, config, linear, following)
    return graph.op("Reshape", [x, shape])


def _padding(config: dict[str, Any]) -> int | None:
    """The token that positions are counted from."""
    if config["model_type"] == "mpnet":
        return 1
    return whole(config, "pad_token_id", 1, least=0) if config["model_type"] in COUNTED else None


def _require_fit(config: BertConfig, weights: Weights) -> None:
    require_heads(config.hidden, config.heads)
    layer, hidden = "encoder.layer.0", config.hidden
    shapes = {
        "embeddings.word_embeddings.weight": (config.vocabulary, hidden),
        "embeddings.position_embeddings.weight": (config.positions, hidden),
        f"{layer}.attention.self.query.weight": (hidden, hidden),
        f"{layer}.intermediate.dense.weight": (config.inner, hidden),
    }
    if config.types:
        shapes["embeddings.token_type_embeddings.weight"] = (config.types, hidden)
    if config.buckets is not None:
        shapes["encoder.relative_attention_bias.weight"] = (config.buckets, config.heads)
    require_shapes(weights, shapes)


def _distance_bias(graph: GraphBuilder, config: BertConfig, weights: Weights) -> Value | None:
    if config.buckets is None:
        return None
    table = weights["encoder.relative_attention_bias.weight"]
    return relative_bias(graph, "distances", table, "input_ids", config.positions)


def _attention_bias(weights: Weights, layer: str) -> Vector:
    return output_bias(weights, f"{layer}.attention.self.value", f"{layer}.attention.output.dense")


def _embeddings(
    graph: GraphBuilder, config: BertConfig, weights: Weights, linear: Linear, carry: Vector | None
) -> Value:
    words = embedding_rows(graph, "words", weights["embeddings.word_embeddings.weight"], "input_ids", linear)
    # All token types are 0, so row 0 of their table is added at every position.
    table = weights["embeddings.position_embeddings.weight"]
    if config.types:
        table = table + weights["embeddings.token_type_embeddings.weight"][0]
    if config.padding is None:
        positions = leading_rows(graph, "positions", table, "input_ids")
    else:
        positions = counted_rows(graph, "positions", table, "input_ids", config.padding)
    x = graph.op("Add", [words, positions])
    x = graph.op("Reshape", [x, graph.ints(-1, config.hidden)])
    return layer_norm(graph, x, weights, "embeddings.LayerNorm", config.epsilon, carry=carry)


def _attention(
    graph: GraphBuilder,
    x: Value,
    weights: Weights,
    layer: str,
    config: BertConfig,
    linear: Linear,
    shape: Value,
    lengths: Value,
    carry: Vector | None,
    bias: Value | None,
) -> Value:
    this, output = f"{layer}.attention.self", f"{layer}.attention.output"
    names = (f"{this}.query", f"{this}.key", f"{this}.value")
    context = self_attention(
        graph, x, weights, names, config.heads, linear, shape=shape, offset=carry, lengths=lengths, mask=bias
    )
    weight = weights[f"{output}.dense.weight"].T
    x = linear(graph, context, f"{output}.dense", weight, residual=x)
    following = weights[f"{layer}.output.dense.bias"]
    return layer_norm(graph, x, weights, f"{output}.LayerNorm", config.epsilon, carry=following)


def _feed_forward(
    graph: GraphBuilder,
    x: Value,
    weights: Weights,
    layer: str,
    config: BertConfig,
    linear: Linear,
    following: Vector | None,
) -> Value:
    up, down = f"{layer}.intermediate.dense", f"{layer}.output.dense"
    carry = weights[f"{down}.bias"]
    bias = weights[f"{up}.bias"]
    inner = linear(graph, x, up, weights[f"{up}.weight"].T, bias=bias, offset=carry, origin=Origin.NORM)
    inner = graph.op("Gelu", [inner])
    x = linear(graph, inner, down, weights[f"{down}.weight"].T, residual=x, origin=Origin.GELU)
    return layer_norm(graph, x, weights, f"{layer}.output.LayerNorm", config.epsilon, carry=following)
