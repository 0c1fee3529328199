"""CLIP's text tower, alone or in a whole CLIP."""

from __future__ import annotations

from typing import Any, ClassVar

import onnx

from models.catalog.families.base import Family
from models.catalog.folder import ModelFolder
from models.catalog.open_clip import OF_THE_LARGEST
from models.catalog.tower_config import require_tower, tower_of
from models.catalog.towers import tower_folder
from models.errors import ArtifactError
from models.graph.clip_text import ClipTextConfig, build
from models.graph.linear import Linear, Weights
from models.inputs.tokenizer_file import loaded_tokenizer

DEFAULT_END = 49407  # what transformers takes where config.json is silent


class ClipText(Family):
    """A text transformer with projection, pooled at the end token."""

    model_types: ClassVar[tuple[str, ...]] = ("clip", "clip_text_model")
    modality = "text"
    projection = "text_projection.weight"

    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:  # noqa: ARG002 - config.json says it
        """The dimensions of the space that both towers share."""
        return ClipTextConfig.from_json(tower_of(config, "text")).projection

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """The longest input, in tokens, and the token at which its vector is."""
        if "model_type" in config:  # not OpenCLIP's, whose file is read elsewhere
            require_tower(config, "text")
        tower = tower_of(config, "text")
        said = {**tower, **tower.get("text_config", {})}.get("eos_token_id", DEFAULT_END)
        longest = ClipTextConfig.from_json(tower).positions
        return {"max_sequence_length": longest, "end": _end(tower_folder(folder), said)}

    def build(
        self,
        config: dict[str, Any],
        weights: Weights,
        linear: Linear,
        settings: dict[str, Any],
    ) -> onnx.ModelProto:
        """From token ids to the unit vector."""
        return build(ClipTextConfig.from_json(tower_of(config, "text")), weights, linear, settings.get("end"))


def _end(folder: ModelFolder, said: Any) -> int:
    """The id of the token that ends every text.

    Raises:
        ArtifactError: it is not the one at which the library looks for the vector.
    """
    words = loaded_tokenizer(folder.path / "tokenizer.json")
    end = (words.encode("a").ids or [-1])[-1]
    largest = max(words.get_vocab(with_added_tokens=True).values())
    wanted = largest if said == OF_THE_LARGEST else said
    if type(wanted) is not int or wanted != end:
        raise ArtifactError(
            f"config.json: eos_token_id is {said!r:.60}, so that the vector is that of token {wanted!r:.60}, and tokenizer.json "
            f"ends texts with {end}"
        )
    return int(end)
