"""CLIP's text tower, alone or in a whole CLIP."""

from __future__ import annotations

from typing import Any, ClassVar

import onnx

from models.catalog.families.base import Family
from models.catalog.folder import ModelFolder
from models.catalog.towers import tower_folder
from models.graph.clip_text import ClipTextConfig, build
from models.graph.linear import Linear, Weights


class ClipText(Family):
    """A text transformer with projection, pooled at the end token."""

    model_types: ClassVar[tuple[str, ...]] = ("clip", "clip_text_model")
    modality = "text"
    projection = "text_projection.weight"

    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:  # noqa: ARG002 - config.json says it
        """The dimensions of the space that both towers share."""
        return ClipTextConfig.from_json(config).projection

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """The longest input, in tokens."""
        tower_folder(folder)
        return {"max_sequence_length": ClipTextConfig.from_json(config).positions}

    def build(
        self,
        config: dict[str, Any],
        weights: Weights,
        linear: Linear,
        settings: dict[str, Any],  # noqa: ARG002 - weights and config.json say all
    ) -> onnx.ModelProto:
        """From token ids to the unit vector."""
        return build(ClipTextConfig.from_json(config), weights, linear)
