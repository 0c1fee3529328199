"""CLIP's image tower, alone or in a whole CLIP."""

from __future__ import annotations

from typing import Any, ClassVar

import onnx

from models.catalog.families.base import Family
from models.catalog.folder import ModelFolder
from models.catalog.picture_files import preparation_in
from models.catalog.tower_config import require_tower, tower_of
from models.catalog.towers import tower_folder
from models.graph.linear import Linear, Weights
from models.graph.vision import ClipVisionConfig, build
from models.inputs.preparation import Preparation


class ClipVision(Family):
    """A vision transformer with projection."""

    model_types: ClassVar[tuple[str, ...]] = ("clip", "clip_vision_model")
    modality = "image"
    projection = "visual_projection.weight"

    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:  # noqa: ARG002 - config.json says it
        """The dimensions of the space that both towers share."""
        return ClipVisionConfig.from_json(tower_of(config, "image")).projection

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """The side of the input square, in pixels, and how pictures become such squares."""
        if "model_type" in config:
            require_tower(config, "image")
        side = ClipVisionConfig.from_json(tower_of(config, "image")).image
        found = preparation_in(tower_folder(folder).path, config, (side, side))
        folder.note("pictures", found.preparation, found.origin)
        return {"image_size": side, "preparation": found.preparation.entry}

    def build(
        self,
        config: dict[str, Any],
        weights: Weights,
        linear: Linear,
        settings: dict[str, Any],
    ) -> onnx.ModelProto:
        """From uint8 pixels to the unit vector."""
        return build(ClipVisionConfig.from_json(tower_of(config, "image")), weights, linear, Preparation.of(settings))
