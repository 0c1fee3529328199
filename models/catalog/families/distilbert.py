"""DistilBERT: distiluse, msmarco-distilbert, multi-qa-distilbert."""

from __future__ import annotations

from typing import Any, ClassVar

from models.catalog.families.bert import Bert
from models.catalog.families.mpnet import bert_name
from models.graph import text
from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Linear, Weights
from models.graph.text import BertConfig

NAMES = {
    "transformer.layer.": "encoder.layer.",
    "attention.q_lin.": "attention.self.query.",
    "attention.k_lin.": "attention.self.key.",
    "attention.v_lin.": "attention.self.value.",
    "attention.out_lin.": "attention.output.dense.",
    "sa_layer_norm.": "attention.output.LayerNorm.",
    "ffn.lin1.": "intermediate.dense.",
    "ffn.lin2.": "output.dense.",
    "output_layer_norm.": "output.LayerNorm.",
}
NEUTRAL = {"attention_dropout", "dropout", "qa_dropout", "seq_classif_dropout", "tie_weights_", "pad_token_id"}
KEYS = {
    "dim": "hidden_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "hidden_dim": "intermediate_size",
    "activation": "hidden_act",
}


class DistilBert(Bert):
    """BERT's encoder without token types."""

    model_types: ClassVar[tuple[str, ...]] = ("distilbert",)
    # Sinusoidal positions are among the weights like learned ones.
    config_keys = frozenset({*KEYS, *NEUTRAL, "vocab_size", "max_position_embeddings", "sinusoidal_pos_embds"})

    def hidden(self, config: dict[str, Any]) -> int:
        """Its hidden size."""
        return _config(config).hidden

    def tokens(self, graph: GraphBuilder, config: dict[str, Any], weights: Weights, linear: Linear) -> Value:
        """BERT's encoder under BERT's names."""
        named = {bert_name(name.removeprefix("distilbert."), NAMES): array for name, array in weights.items()}
        return text.tokens(graph, _config(config), named, linear)


def _config(config: dict[str, Any]) -> BertConfig:
    renamed = {KEYS.get(key, key): value for key, value in config.items()}
    return BertConfig.from_json({**renamed, "layer_norm_eps": 1e-12})
