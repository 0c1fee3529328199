"""BERT sentence encoders: MiniLM, bge, e5, gte."""

from __future__ import annotations

from typing import Any, ClassVar

from models.catalog.families.text_family import TextFamily
from models.catalog.positions import positions_of
from models.graph import text
from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Linear, Weights


class Bert(TextFamily):
    """All token types are 0."""

    model_types: ClassVar[tuple[str, ...]] = ("bert",)
    config_keys = frozenset(
        {
            "hidden_act",
            "num_hidden_layers",
            "num_attention_heads",
            "hidden_size",
            "intermediate_size",
            "vocab_size",
            "type_vocab_size",
            "max_position_embeddings",
            "layer_norm_eps",
            "position_embedding_type",
            "pad_token_id",
        }
    )

    def hidden(self, config: dict[str, Any]) -> int:
        """Its hidden size."""
        return text.BertConfig.from_json(config).hidden

    def positions(self, config: dict[str, Any]) -> int | None:
        """All rows of its table."""
        return positions_of(config)

    def tokens(self, graph: GraphBuilder, config: dict[str, Any], weights: Weights, linear: Linear) -> Value:
        """BERT's encoder."""
        return text.tokens(graph, text.BertConfig.from_json(config), weights, linear)
