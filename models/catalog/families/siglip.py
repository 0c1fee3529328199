"""SigLIP's towers, alone or together; also SigLIP 2 with pictures of one size."""

from __future__ import annotations

from typing import Any

import onnx

from models.catalog.families.base import Family
from models.catalog.folder import ModelFolder
from models.catalog.picture_files import preparation_in
from models.catalog.special_tokens import padding_token
from models.catalog.tower_config import require_tower, tower_of
from models.catalog.towers import tower_folder
from models.errors import ArtifactError
from models.graph.linear import Linear, Weights
from models.graph.siglip import SiglipConfig, build_text, build_vision
from models.inputs.preparation import Preparation

PLAIN = ("PreTrainedTokenizerFast", "TokenizersBackend")


class SiglipVision(Family):
    """A vision transformer whose patches are pooled by attention."""

    model_types = ("siglip", "siglip_vision_model")
    modality = "image"

    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:  # noqa: ARG002 - config.json says it
        """Its hidden size."""
        return SiglipConfig.vision(tower_of(config, "image")).hidden

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """The side of the input square, in pixels, and how pictures become such squares."""
        require_tower(config, "image")
        if (head := tower_of(config, "image").get("vision_use_head", True)) is not True:
            raise ArtifactError(
                f"config.json: vision_use_head is {head!r:.60}; served are towers with their pooling head"
            )
        side = SiglipConfig.vision(tower_of(config, "image")).image
        found = preparation_in(tower_folder(folder).path, config, (side, side))
        folder.note("pictures", found.preparation, found.origin)
        return {"image_size": side, "preparation": found.preparation.entry}

    def build(
        self, config: dict[str, Any], weights: Weights, linear: Linear, settings: dict[str, Any]
    ) -> onnx.ModelProto:
        """From uint8 pixels to the unit vector."""
        return build_vision(SiglipConfig.vision(tower_of(config, "image")), weights, linear, Preparation.of(settings))


class SiglipText(Family):
    """A text transformer that sees its padding, pooled at its last position."""

    model_types = ("siglip", "siglip_text_model")
    modality = "text"

    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:  # noqa: ARG002 - config.json says it
        """The dimensions of the space that both towers share."""
        return SiglipConfig.text(tower_of(config, "text")).projection

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """The longest input, in tokens, and what shorter ones are filled up with."""
        require_tower(config, "text")
        folder = tower_folder(folder)
        kind = folder.json("tokenizer_config.json").get("tokenizer_class")
        if kind not in PLAIN:
            raise ArtifactError(
                f"tokenizer_config.json: tokenizer_class is {kind!r}; SigLIP's own classes lower-case texts and take out "
                "punctuation before tokenizer.json sees them. Put that into the normalizer of tokenizer.json, and set "
                f"tokenizer_class to {PLAIN[0]!r}"
            )
        fill = padding_token(folder)
        folder.note("filled up with", fill, "tokenizer_config.json")
        return {"max_sequence_length": SiglipConfig.text(tower_of(config, "text")).positions, "fill": fill}

    def build(
        self, config: dict[str, Any], weights: Weights, linear: Linear, settings: dict[str, Any]
    ) -> onnx.ModelProto:
        """From token ids to the unit vector."""
        return build_text(SiglipConfig.text(tower_of(config, "text")), weights, linear, settings["fill"])
