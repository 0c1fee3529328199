"""ModernBERT: gte-modernbert, modernbert-embed, granite-embedding r2."""

from __future__ import annotations

from typing import Any

from models.catalog.families.text_family import TextFamily
from models.errors import ArtifactError
from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Linear, Weights
from models.graph.rotary_bert import Attention, Layer, RotaryConfig, tokens

EVERY = 3  # layers, of which the first sees the whole text
THETAS = {"full_attention": 160_000.0, "sliding_attention": 10_000.0}
# Of training, of other heads, and of ways to compute the same.
NEUTRAL = {
    "attention_dropout",
    "classifier_activation",
    "classifier_bias",
    "classifier_pooling",
    "decoder_bias",
    "deterministic_flash_attn",
    "embedding_dropout",
    "initializer_cutoff_factor",
    "layer_norm_eps",  # norm_eps is read
    "mlp_dropout",
    "position_embedding_type",  # rotary in any case
    "reference_compile",
    "repad_logits_with_grad",
    "sparse_prediction",
    "sparse_pred_ignore_index",
    "pad_token_id",
}
OLDER = {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"}


class ModernBert(TextFamily):
    """LayerNorms come first, and most layers see a window of the text."""

    model_types = ("modernbert",)
    config_keys = frozenset(
        {
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
            "hidden_activation",
            "max_position_embeddings",
            "norm_eps",
            "norm_bias",
            "attention_bias",
            "mlp_bias",
            "vocab_size",
            "layer_types",
            "global_attn_every_n_layers",
            "local_attention",
            "rope_parameters",
            "rope_scaling",
            *OLDER.values(),
            *NEUTRAL,
        }
    )

    def hidden(self, config: dict[str, Any]) -> int:
        """Its hidden size."""
        size: int = config["hidden_size"]
        return size

    def positions(self, config: dict[str, Any]) -> int:
        """As many as it was trained on; rotations know no end."""
        count: int = config["max_position_embeddings"]
        return count

    def tokens(self, graph: GraphBuilder, config: dict[str, Any], weights: Weights, linear: Linear) -> Value:
        """Words, layers and the last LayerNorm."""
        _require_plain(config)
        named = {name.removeprefix("model."): array for name, array in weights.items()}
        layers = [_layer(i, kind, config, named) for i, kind in enumerate(_kinds(config))]
        read = RotaryConfig(
            heads=config["num_attention_heads"],
            hidden=config["hidden_size"],
            positions=config["max_position_embeddings"],
            epsilon=config.get("norm_eps", 1e-5),
            activation=config.get("hidden_activation", "gelu"),
            words="embeddings.tok_embeddings.weight",
            norm="embeddings.norm",
            last_norm="final_norm",
            norms_first=True,
        )
        return tokens(graph, read, layers, named, linear)


def _layer(index: int, kind: str, config: dict[str, Any], weights: Weights) -> Layer:
    name = f"layers.{index}"
    gate, up = weights[f"{name}.mlp.Wi.weight"].reshape(2, -1, config["hidden_size"])
    reach = config.get("local_attention", 128) // 2 if kind == "sliding_attention" else None
    return Layer(
        name=name,
        attention=Attention(_theta(kind, config), reach),
        packed=weights[f"{name}.attn.Wqkv.weight"],
        output=weights[f"{name}.attn.Wo.weight"],
        gate=gate,
        up=up,
        down=weights[f"{name}.mlp.Wo.weight"],
        first_norm=f"{name}.attn_norm" if index else None,
        second_norm=f"{name}.mlp_norm",
    )


def _kinds(config: dict[str, Any]) -> list[str]:
    count = config["num_hidden_layers"]
    every = config.get("global_attn_every_n_layers", EVERY)
    given = config.get("layer_types")
    kinds = given or ["sliding_attention" if i % every else "full_attention" for i in range(count)]
    if len(kinds) != count or not set(kinds) <= set(THETAS):
        raise ArtifactError(f"config.json: layer_types must be {count} of {', '.join(THETAS)}")
    return list(kinds)


def _theta(kind: str, config: dict[str, Any]) -> float:
    given = (config.get("rope_parameters") or {}).get(kind) or {}
    if given.get("rope_type", "default") != "default":
        raise ArtifactError(
            f"config.json: rope_parameters.{kind}.rope_type is {given['rope_type']!r}; computed is 'default'"
        )
    return float(given.get("rope_theta") or config.get(OLDER[kind]) or THETAS[kind])


def _require_plain(config: dict[str, Any]) -> None:
    for key in ("attention_bias", "mlp_bias", "rope_scaling"):
        if config.get(key):
            raise ArtifactError(f"config.json: {key} is {config[key]!r}, which this graph does not compute")
