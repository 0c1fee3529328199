"""MPNet: all-mpnet-base-v2, multi-qa-mpnet, paraphrase-mpnet."""

from __future__ import annotations

from typing import Any, ClassVar

from models.catalog.families.roberta import Roberta
from models.graph import text
from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Linear, Weights
from models.graph.text import BertConfig

NAMES = {
    "attention.attn.q.": "attention.self.query.",
    "attention.attn.k.": "attention.self.key.",
    "attention.attn.v.": "attention.self.value.",
    "attention.attn.o.": "attention.output.dense.",
    "attention.LayerNorm.": "attention.output.LayerNorm.",
}


class MPNet(Roberta):
    """RoBERTa's positions, and a learned bias for the distance of two tokens, which all layers share."""

    model_types: ClassVar[tuple[str, ...]] = ("mpnet",)
    config_keys = Roberta.config_keys | {"relative_attention_num_buckets"}

    def tokens(self, graph: GraphBuilder, config: dict[str, Any], weights: Weights, linear: Linear) -> Value:
        """BERT's encoder with that bias."""
        named = {bert_name(name.removeprefix("mpnet."), NAMES): array for name, array in weights.items()}
        return text.tokens(graph, BertConfig.from_json(config), named, linear)


def bert_name(name: str, names: dict[str, str]) -> str:
    """A weight's name in BERT: each part of it that ``names`` has is replaced."""
    for theirs, berts in names.items():
        name = name.replace(theirs, berts)
    return name
