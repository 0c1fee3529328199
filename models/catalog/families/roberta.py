"""RoBERTa, XLM-R and CamemBERT: multilingual-e5, bge-m3, Snowflake's arctic-embed-l-v2, paraphrase-multilingual."""

from __future__ import annotations

from typing import Any, ClassVar

from models.catalog.families.bert import Bert
from models.graph import text
from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Linear, Weights
from models.graph.text import BertConfig


class Roberta(Bert):
    """BERT's encoder; positions are counted from the padding's id on, so that two rows of their table are no text's."""

    model_types: ClassVar[tuple[str, ...]] = ("roberta", "xlm-roberta", "camembert")
    config_keys = Bert.config_keys | {"pad_token_id"}

    def tokens(self, graph: GraphBuilder, config: dict[str, Any], weights: Weights, linear: Linear) -> Value:
        """BERT's encoder on counted positions."""
        named = {name.removeprefix("roberta."): array for name, array in weights.items()}
        return text.tokens(graph, BertConfig.from_json(config), named, linear)
