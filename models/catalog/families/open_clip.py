"""OpenCLIP's folders: CLIP's towers under other names."""

from __future__ import annotations

from typing import Any, ClassVar

import onnx

from models.catalog.families.clip_text import ClipText
from models.catalog.families.clip_vision import ClipVision
from models.catalog.folder import ModelFolder
from models.catalog.open_clip import CONFIG, MODEL_TYPE, clip_config, clip_weights, open_clip_preparation
from models.graph.linear import Linear, Weights


class OpenClipVision(ClipVision):
    """CLIP's image tower."""

    model_types: ClassVar[tuple[str, ...]] = (MODEL_TYPE,)
    projection = "visual.proj"

    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:
        """The dimensions of the space that both towers share."""
        return super().dimensions(clip_config(config), settings)

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """The side of the input square, in pixels, and how pictures become such squares."""
        side = clip_config(config)["vision_config"]["image_size"]
        preparation = open_clip_preparation(config.get("preprocess_cfg") or {}, side)
        folder.note("pictures", preparation, CONFIG)
        return {"image_size": side, "preparation": preparation.entry}

    def build(
        self, config: dict[str, Any], weights: Weights, linear: Linear, settings: dict[str, Any]
    ) -> onnx.ModelProto:
        """From uint8 pixels to the unit vector."""
        return super().build(clip_config(config), clip_weights(weights), linear, settings)


class OpenClipText(ClipText):
    """CLIP's text tower."""

    model_types: ClassVar[tuple[str, ...]] = (MODEL_TYPE,)
    projection = "text_projection"

    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:
        """The dimensions of the space that both towers share."""
        return super().dimensions(clip_config(config), settings)

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """The longest input, in tokens."""
        return super().settings(clip_config(config), folder)

    def build(
        self, config: dict[str, Any], weights: Weights, linear: Linear, settings: dict[str, Any]
    ) -> onnx.ModelProto:
        """From token ids to the unit vector."""
        return super().build(clip_config(config), clip_weights(weights), linear, settings)
