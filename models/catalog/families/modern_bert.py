"""ModernBERT: gte-modernbert, modernbert-embed, granite-embedding r2."""

from __future__ import annotations

from typing import Any

from models.catalog.families.text_family import TextFamily
from models.errors import ArtifactError
from models.graph.builder import GraphBuilder, Value
from models.graph.checks import number, plain_object, require_heads, require_padding, require_shapes, whole
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
        return whole(config, "hidden_size")

    def positions(self, config: dict[str, Any]) -> int:
        """As many as it was trained on; rotations know no end."""
        return whole(config, "max_position_embeddings")

    def tokens(self, graph: GraphBuilder, config: dict[str, Any], weights: Weights, linear: Linear) -> Value:
        """Words, layers and the last LayerNorm."""
        _require_plain(config)
        named = {name.removeprefix("model."): array for name, array in weights.items()}
        hidden, inner = self.hidden(config), whole(config, "intermediate_size", 1152)
        heads = whole(config, "num_attention_heads", 12)
        require_heads(hidden, heads)
        shapes = {"embeddings.tok_embeddings.weight": (whole(config, "vocab_size", 50368), hidden)}
        require_shapes(named, shapes | {"layers.0.mlp.Wi.weight": (2 * inner, hidden)})
        layers = [_layer(i, kind, config, named) for i, kind in enumerate(_kinds(config))]
        read = RotaryConfig(
            heads=heads,
            hidden=hidden,
            positions=self.positions(config),
            epsilon=number(config, "norm_eps", 1e-5),
            activation=config.get("hidden_activation", "gelu"),
            words="embeddings.tok_embeddings.weight",
            norm="embeddings.norm",
            last_norm="final_norm",
            norm_bias=bool(config.get("norm_bias", False)),
            norms_first=True,
        )
        return tokens(graph, read, layers, named, linear)


def _layer(index: int, kind: str, config: dict[str, Any], weights: Weights) -> Layer:
    name = f"layers.{index}"
    gate, up = weights[f"{name}.mlp.Wi.weight"].reshape(2, -1, config["hidden_size"])
    reach = whole(config, "local_attention", 128, least=2) // 2 if kind == "sliding_attention" else None
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
    count = whole(config, "num_hidden_layers")
    every = whole(config, "global_attn_every_n_layers", EVERY)
    given = config.get("layer_types")
    kinds = (
        given if given is not None else ["sliding_attention" if i % every else "full_attention" for i in range(count)]
    )
    if not isinstance(kinds, list) or len(kinds) != count or not set(kinds) <= set(THETAS):
        raise ArtifactError(f"config.json: layer_types must be {count} of {', '.join(THETAS)}")
    return list(kinds)


def _theta(kind: str, config: dict[str, Any]) -> float:
    groups = plain_object(config, "rope_parameters", set(THETAS))
    given = plain_object(groups, kind, {"rope_type", "rope_theta"})
    if given.get("rope_type", "default") != "default":
        raise ArtifactError(f"config.json: rope_type of {kind} is {given['rope_type']!r}; computed is 'default'")
    return number(given, "rope_theta") if "rope_theta" in given else number(config, OLDER[kind], THETAS[kind])


def _require_plain(config: dict[str, Any]) -> None:
    require_padding(config, 50283)
    for key in ("attention_bias", "mlp_bias", "rope_scaling"):
        if config.get(key):
            raise ArtifactError(f"config.json: {key} is {config[key]!r}, which this graph does not compute")
