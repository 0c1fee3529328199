"""SigLIP's towers, alone or together; also SigLIP 2 with pictures of one size."""

from __future__ import annotations

from typing import Any

import onnx

from models.catalog.families.base import Family
from models.catalog.folder import ModelFolder
from models.catalog.picture_files import preparation_in
from models.catalog.siglip_words import FILE, siglip_words
from models.catalog.special_tokens import padding_token
from models.catalog.tower_config import require_tower, tower_of
from models.catalog.towers import tower_folder
from models.errors import ArtifactError
from models.graph.linear import Linear, Weights
from models.graph.siglip import SiglipConfig, build_text, build_vision
from models.inputs.preparation import Preparation
from models.inputs.siglip_words import FILE as WORDS

PLAIN = ("PreTrainedTokenizerFast", "TokenizersBackend")
OWN = "SiglipTokenizer"


class SiglipVision(Family):
    """A vision transformer whose patches are pooled by attention."""

    model_types = ("siglip", "siglip_vision_model")
    modality = "image"

    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:  # noqa: ARG002 - config.json says it
        """Its hidden size."""
        return SiglipConfig.vision(tower_of(config, "image")).hidden

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """The side of the input square, in pixels, and how pictures become such squares.

        Raises:
            ArtifactError: the files are no image tower of SigLIP, or one without its pooling head.
        """
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

    def tokenizer_file(self, folder: ModelFolder) -> str:
        """SentencePiece's file for SigLIP's own class, which reads no other.

        Raises:
            ArtifactError: that class is named, and its file is missing.
        """
        if _tokenizer_class(folder) != OWN:
            return "tokenizer.json"
        if not folder.has(WORDS):
            raise ArtifactError(
                f"{folder.path} lacks {WORDS}, from which {OWN} reads its words. Put it there; or, if tokenizer.json makes "
                f"lower case of texts and takes out punctuation itself, set tokenizer_class to {PLAIN[0]!r} in {FILE}"
            )
        return WORDS

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """The longest input, in tokens, and what shorter ones are filled up with."""
        require_tower(config, "text")
        folder = tower_folder(folder)
        longest = SiglipConfig.text(tower_of(config, "text")).positions
        if _tokenizer_class(folder) == OWN:
            return {"max_sequence_length": longest, **siglip_words(folder, longest)}
        fill = padding_token(folder)
        folder.note("filled up with", fill, "tokenizer_config.json")
        return {"max_sequence_length": longest, "fill": fill}

    def build(
        self, config: dict[str, Any], weights: Weights, linear: Linear, settings: dict[str, Any]
    ) -> onnx.ModelProto:
        """From token ids to the unit vector."""
        return build_text(SiglipConfig.text(tower_of(config, "text")), weights, linear, settings["fill"])


def _tokenizer_class(folder: ModelFolder) -> str:
    """The class by which transformers would read the folder's tokenizer.

    Raises:
        ArtifactError: it is one that is not served.
    """
    said = folder.json(FILE).get("tokenizer_class")
    kind = OWN if said is None and folder.json("config.json").get("model_type") == "siglip" else said
    if kind not in (*PLAIN, OWN):
        raise ArtifactError(
            f"{FILE}: tokenizer_class is {said!r:.80}, which may change texts before tokenizer.json sees them; served are "
            f"{OWN} with its {WORDS}, and {' and '.join(PLAIN)}. If tokenizer.json says all, set {PLAIN[0]!r}"
        )
    return str(kind)
