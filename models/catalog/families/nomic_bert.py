"""NomicBERT: nomic-embed-text."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.catalog.families.mpnet import bert_name
from models.catalog.families.nomic_hub import KEYS, READ, in_transformers_spelling
from models.catalog.families.text_family import TextFamily
from models.errors import ArtifactError
from models.graph.builder import GraphBuilder, Value
from models.graph.checks import number, plain_object, require_heads, require_padding, require_shapes, whole
from models.graph.linear import Linear, Weights
from models.graph.rotary_bert import Attention, Layer, RotaryConfig, tokens

THETA = 1000.0
NAMES = {
    "encoder.layers.": "layers.",
    "emb_ln.": "embeddings.LayerNorm.",
    "attn.out_proj.": "self_attn.o_proj.",
    "mlp.fc11.": "mlp.up_proj.",
    "mlp.fc12.": "mlp.gate_proj.",
    "mlp.fc2.": "mlp.down_proj.",
    "norm1.": "post_attention_layernorm.",
    "norm2.": "post_mlp_layernorm.",
}


class NomicBert(TextFamily):
    """LayerNorms come last; no biases but theirs."""

    model_types = ("nomic_bert",)
    config_keys = frozenset(
        {
            *READ,
            *KEYS.values(),
            "vocab_size",
            "type_vocab_size",
            "rope_parameters",
            "rope_theta",
            "head_dim",
        }
    )

    def hidden(self, config: dict[str, Any]) -> int:
        """Its hidden size."""
        return whole(_renamed(config), "hidden_size")

    def positions(self, config: dict[str, Any]) -> int:
        """As many as it was trained on; rotations know no end."""
        return whole(_renamed(config), "max_position_embeddings")

    def tokens(self, graph: GraphBuilder, config: dict[str, Any], weights: Weights, linear: Linear) -> Value:
        """Words, token type 0 and layers."""
        read = _renamed(config)
        named = {bert_name(name.removeprefix("nomic_bert."), NAMES): array for name, array in weights.items()}
        hidden, heads = self.hidden(config), whole(read, "num_attention_heads")
        require_heads(hidden, heads)
        shapes = {
            "embeddings.word_embeddings.weight": (whole(read, "vocab_size"), hidden),
            "embeddings.token_type_embeddings.weight": (whole(read, "type_vocab_size"), hidden),
            "layers.0.mlp.up_proj.weight": (whole(read, "intermediate_size"), hidden),
        }
        require_shapes(named, shapes)
        rotary = RotaryConfig(
            heads=heads,
            hidden=hidden,
            positions=self.positions(config),
            epsilon=number(read, "layer_norm_eps", 1e-12),
            activation="silu",
            words="embeddings.word_embeddings.weight",
            norm="embeddings.LayerNorm",
            types="embeddings.token_type_embeddings.weight",
        )
        attention = Attention(_theta(read))
        layers = [_layer(f"layers.{i}", attention, named) for i in range(whole(read, "num_hidden_layers"))]
        return tokens(graph, rotary, layers, named, linear)


def _layer(name: str, attention: Attention, weights: Weights) -> Layer:
    packed = weights.get(f"{name}.attn.Wqkv.weight")
    if packed is None:
        packed = np.concatenate([weights[f"{name}.self_attn.{part}_proj.weight"] for part in "qkv"])
    return Layer(
        name=name,
        attention=attention,
        packed=packed,
        output=weights[f"{name}.self_attn.o_proj.weight"],
        gate=weights[f"{name}.mlp.gate_proj.weight"],
        up=weights[f"{name}.mlp.up_proj.weight"],
        down=weights[f"{name}.mlp.down_proj.weight"],
        first_norm=f"{name}.post_attention_layernorm",
        second_norm=f"{name}.post_mlp_layernorm",
    )


def _renamed(config: dict[str, Any]) -> dict[str, Any]:
    whole(config, "pad_token_id", 0, least=0)
    require_padding(config)
    read = in_transformers_spelling(config)
    if read.get("head_dim") not in (None, whole(read, "hidden_size") // whole(read, "num_attention_heads")):
        raise ArtifactError(f"config.json: head_dim is {read['head_dim']!r}; computed is hidden_size / heads")
    return read


def _theta(config: dict[str, Any]) -> float:
    given = plain_object(config, "rope_parameters", {"rope_type", "rope_theta"})
    if given.get("rope_type", "default") != "default":
        raise ArtifactError(f"config.json: rope_parameters.rope_type is {given['rope_type']!r}; computed is 'default'")
    if "rope_theta" in given:
        return number(given, "rope_theta")
    return number(config, "rope_theta", number(config, "rotary_emb_base", THETA))
