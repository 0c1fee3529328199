"""BERT sentence encoders: MiniLM, bge, e5, gte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from models.catalog.families.base import Family
from models.catalog.folder import pooling_of, read_json
from models.errors import ArtifactError
from models.graph import text
from models.graph.linear import Linear, Weights


class Bert(Family):
    """All token types are 0; pooling takes the mean or the first token."""

    model_types = ("bert",)
    modality = "text"

    def dimensions(self, config: dict[str, Any]) -> int:
        """Its hidden size."""
        size: int = config["hidden_size"]
        return size

    def settings(self, config: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Length and lower-casing from sentence_bert_config.json, pooling from the pooling module."""
        transformer = read_json(folder / "sentence_bert_config.json")
        length = transformer.get("max_seq_length") or config["max_position_embeddings"]
        settings = {"max_sequence_length": length, "pooling": pooling_of(folder)}
        if transformer.get("do_lower_case"):
            settings["do_lower_case"] = True
        return settings

    def build(
        self, config: dict[str, Any], weights: Weights, linear: Linear, settings: dict[str, Any]
    ) -> onnx.ModelProto:
        """Encoder, pooling and normalisation in one graph."""
        pooling = settings.get("pooling", "mean")
        if pooling not in ("mean", "cls"):
            raise ArtifactError(f"pooling is {pooling!r}; the text graph pools by 'mean' or 'cls'")
        return text.build(text.BertConfig.from_json(config), weights, linear, "cls" if pooling == "cls" else "mean")
