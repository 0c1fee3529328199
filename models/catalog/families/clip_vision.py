"""CLIP's image tower, alone or in a whole CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from models.catalog.families.base import Family
from models.graph.linear import Linear, Weights
from models.graph.vision import ClipVisionConfig, build


class ClipVision(Family):
    """A vision transformer with projection."""

    model_types = ("clip", "clip_vision_model")
    modality = "image"
    projection = "visual_projection.weight"

    def dimensions(self, config: dict[str, Any]) -> int:
        """The dimensions of the space that both towers share."""
        return ClipVisionConfig.from_json(config).projection

    def settings(self, config: dict[str, Any], folder: Path) -> dict[str, Any]:  # noqa: ARG002 - config.json says all
        """The side of the input square, in pixels."""
        return {"image_size": ClipVisionConfig.from_json(config).image}

    def build(
        self,
        config: dict[str, Any],
        weights: Weights,
        linear: Linear,
        settings: dict[str, Any],  # noqa: ARG002 - weights and config.json say all
    ) -> onnx.ModelProto:
        """From uint8 pixels to the unit vector."""
        return build(ClipVisionConfig.from_json(config), weights, linear)
