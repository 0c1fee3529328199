"""Serving graphs of SigLIP's towers: both end in unit vectors of one space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import onnx
from onnx import TensorProto

from models.graph.attention import standard_attention
from models.graph.builder import GraphBuilder, Value
from models.graph.checks import require_heads, require_shapes
from models.graph.clip import clip_layer
from models.graph.embeddings import embedding_rows
from models.graph.layers import activate, arrangement, first_row, layer_norm, unit_rows
from models.graph.linear import Linear, Origin, Weights
from models.graph.ordered_product import ordered_product
from models.graph.vision import patch_rows
from models.inputs.preparation import Preparation

VISION, TEXT = "vision_model", "text_model"
HEAD = f"{VISION}.head"


@dataclass(frozen=True)
class SiglipConfig:
    """The fields of one tower that its graph depends on."""

    layers: int
    heads: int
    hidden: int
    inner: int
    epsilon: float
    activation: str
    image: int = 0  # of the vision tower
    patch: int = 0
    positions: int = 0  # of the text tower
    projection: int = 0
    vocabulary: int = 0

    @classmethod
    def vision(cls, config: dict[str, Any]) -> Self:
        """Read a ``config.json`` of the whole model or of the vision tower."""
        tower = {**config, **config.get("vision_config", {})}
        return cls(**_shared(tower), image=tower.get("image_size", 224), patch=tower.get("patch_size", 16))

    @classmethod
    def text(cls, config: dict[str, Any]) -> Self:
        """Read a ``config.json`` of the whole model or of the text tower."""
        tower = {**config, **config.get("text_config", {})}
        shared = _shared(tower)
        given = tower.get("projection_size")
        projection = shared["hidden"] if given is None else given
        positions, vocabulary = tower.get("max_position_embeddings", 64), tower.get("vocab_size", 32000)
        return cls(**shared, positions=positions, projection=projection, vocabulary=vocabulary)


def _shared(tower: dict[str, Any]) -> dict[str, Any]:
    return {
        "layers": tower.get("num_hidden_layers", 12),
        "heads": tower.get("num_attention_heads", 12),
        "hidden": tower.get("hidden_size", 768),
        "inner": tower.get("intermediate_size", 3072),
        "epsilon": tower.get("layer_norm_eps", 1e-6),
        "activation": tower.get("hidden_act", "gelu_pytorch_tanh"),
    }


def build_vision(config: SiglipConfig, weights: Weights, linear: Linear, preparation: Preparation) -> onnx.ModelProto:
    """Build the graph ``pixels`` uint8 [n, image, image, 3] → ``embedding`` float32 [n, hidden].

    Computes the same as ``SiglipVisionModel``'s pooled output in inference, then normalises.
    """
    patch_shape = (config.hidden, 3, config.patch, config.patch)
    rows = {
        f"{VISION}.embeddings.patch_embedding.weight": patch_shape,
        f"{VISION}.embeddings.position_embedding.weight": ((config.image // config.patch) ** 2, config.hidden),
        f"{HEAD}.mlp.fc1.weight": (config.inner, config.hidden),
    }
    _require_sizes(config, weights, VISION, rows)
    graph = GraphBuilder("siglip_vision_encoder", linear.dtype, standard=linear.standard)
    stem = f"{VISION}.embeddings"
    x, offset = patch_rows(graph, weights[f"{stem}.patch_embedding.weight"], config.image, linear, preparation)
    offset = offset + weights[f"{stem}.patch_embedding.bias"]
    positions = (weights[f"{stem}.position_embedding.weight"] + offset).astype(np.float32)
    x = graph.op("Add", [x, graph.weight("positions", positions)])
    shape = arrangement(graph, x)
    x = graph.op("Reshape", [x, graph.ints(-1, config.hidden)])
    x = _layers(graph, x, config, weights, VISION, linear, shape)
    x = layer_norm(graph, x, weights, f"{VISION}.post_layernorm", config.epsilon)
    pooled = _attention_pooling(graph, x, config, weights, linear, shape)
    return graph.model(
        {"pixels": (TensorProto.UINT8, ["n", config.image, config.image, 3])},
        ("embedding", unit_rows(graph, pooled), ["n", config.hidden]),
        {"embedserve.output": "unit", "embedserve.precision": linear.precision},
    )


def build_text(config: SiglipConfig, weights: Weights, linear: Linear, padding: int) -> onnx.ModelProto:
    """Build ``input_ids`` int64 [n, t], ``attention_mask`` int64 [n, t] → ``embedding`` float32 [n, projection].

    SigLIP was trained on texts that are filled up with the token ``padding`` to all positions, and sees that filling; its
    vector is that of the last position. Computes the same as ``SiglipTextModel``'s pooled output, then normalises.
    """
    rows = {
        f"{TEXT}.embeddings.token_embedding.weight": (config.vocabulary, config.hidden),
        f"{TEXT}.embeddings.position_embedding.weight": (config.positions, config.hidden),
        f"{TEXT}.head.weight": (config.projection, config.hidden),
    }
    _require_sizes(config, weights, TEXT, rows)
    graph = GraphBuilder("siglip_text_encoder", linear.dtype, standard=linear.standard)
    ids = _filled(graph, config.positions, padding)
    words = embedding_rows(graph, "words", weights[f"{TEXT}.embeddings.token_embedding.weight"], ids, linear)
    table = weights[f"{TEXT}.embeddings.position_embedding.weight"]
    x = graph.op("Add", [words, graph.weight("positions", table)])
    shape = arrangement(graph, ids)
    x = graph.op("Reshape", [x, graph.ints(-1, config.hidden)])
    x = _layers(graph, x, config, weights, TEXT, linear, shape)
    x = graph.op("Reshape", [x, shape])
    # Twice the last position, so that one text takes the same kernels as several.
    last = graph.op("Gather", [x, graph.constant("last_twice", np.array([config.positions - 1] * 2))], axis=1)
    pair = graph.op("Reshape", [last, graph.ints(-1, config.hidden)])
    pair = layer_norm(graph, pair, weights, f"{TEXT}.final_layer_norm", config.epsilon)
    head, linear = f"{TEXT}.head", linear.apart()
    pair = linear(graph, pair, head, weights[f"{head}.weight"].T, bias=weights[f"{head}.bias"], origin=Origin.NORM)
    pooled = first_row(graph, graph.op("Reshape", [pair, graph.ints(-1, 2, config.projection)]))
    return graph.model(
        {name: (TensorProto.INT64, ["n", "t"]) for name in ("input_ids", "attention_mask")},
        ("embedding", unit_rows(graph, pooled), ["n", config.projection]),
        {"embedserve.output": "unit", "embedserve.precision": linear.precision, "embedserve.pooling": "last"},
    )


def _require_sizes(config: SiglipConfig, weights: Weights, model: str, rows: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights of other sizes than config.json says."""
    require_heads(config.hidden, config.heads)
    stem = f"{model}.encoder.layers."
    inner = {f"{stem}{layer}.mlp.fc1.weight": (config.inner, config.hidden) for layer in range(config.layers)}
    require_shapes(weights, {**rows, **inner})


def _layers(
    graph: GraphBuilder, x: Value, config: SiglipConfig, weights: Weights, model: str, linear: Linear, shape: Value
) -> Value:
    for layer in range(config.layers):
        prefix = f"{model}.encoder.layers.{layer}"
        x = clip_layer(
            graph, x, weights, prefix, config.heads, config.epsilon, linear, shape=shape, activation=config.activation
        )
    return x


def _filled(graph: GraphBuilder, positions: int, padding: int) -> Value:
    """Token ids with the padding's id wherever there is no token, int64 [n, positions]."""
    fill = graph.constant("padding", np.array(padding, np.int64))
    kept = graph.op("Where", [graph.op("Cast", ["attention_mask"], to=TensorProto.BOOL), "input_ids", fill])
    length = graph.op("Shape", ["input_ids"], start=1, end=2)
    missing = graph.op("Sub", [graph.ints(positions), length])
    ends = graph.op("Concat", [graph.ints(0, 0, 0), missing], axis=0)
    return graph.op("Pad", [kept, ends, fill])


def _attention_pooling(
    graph: GraphBuilder, x: Value, config: SiglipConfig, weights: Weights, linear: Linear, shape: Value
) -> Value:
    """One learned query looks at all positions, and a feed-forward layer follows: [rows, hidden] to [n, hidden].

    The query is there twice, so that one picture takes the same kernels as several. As in ``self_attention``, the key's bias
    cancels and the value's belongs to the output's.
    """
    hidden = config.hidden
    packed, bias = weights[f"{HEAD}.attention.in_proj_weight"], weights[f"{HEAD}.attention.in_proj_bias"]
    output = weights[f"{HEAD}.attention.out_proj.weight"].T
    query = ordered_product(weights[f"{HEAD}.probe"][0, 0], packed[:hidden].T) + bias[:hidden]
    both = linear(graph, x, f"{HEAD}.key_value", packed[hidden:].T, origin=Origin.NORM)
    keys, values = graph.ops("Split", [graph.op("Reshape", [both, shape]), graph.ints(hidden, hidden)], 2, axis=-1)
    count = graph.op("Shape", ["pixels"], start=0, end=1)
    queries = graph.op("Concat", [count, graph.ints(2, hidden)], axis=0)
    asked = graph.op("Expand", [graph.weight(f"{HEAD}.query", query[None, None]), queries])
    if graph.standard:
        pair = standard_attention(graph, [asked, keys, values], hidden, config.heads)
    else:
        context = graph.op("Attention", [asked, keys, values], q_num_heads=config.heads, kv_num_heads=config.heads)
        pair = graph.op("Reshape", [context, graph.ints(-1, hidden)])
    linear = linear.apart()
    whole = weights[f"{HEAD}.attention.out_proj.bias"] + ordered_product(bias[2 * hidden :], output)
    pair = linear(graph, pair, f"{HEAD}.attention.out_proj", output, bias=whole)
    normed = layer_norm(graph, pair, weights, f"{HEAD}.layernorm", config.epsilon)
    up, down = f"{HEAD}.mlp.fc1", f"{HEAD}.mlp.fc2"
    inner = linear(graph, normed, up, weights[f"{up}.weight"].T, bias=weights[f"{up}.bias"], origin=Origin.NORM)
    inner = activate(graph, config.activation, inner)
    bias = weights[f"{down}.bias"]
    pair = linear(graph, inner, down, weights[f"{down}.weight"].T, bias=bias, residual=pair, origin=Origin.GELU)
    return first_row(graph, graph.op("Reshape", [pair, graph.ints(-1, 2, hidden)]))
