"""Which token id a folder pads texts with."""

from __future__ import annotations

from typing import Any

from models.catalog.folder import ModelFolder
from models.errors import ArtifactError

FILES = ("tokenizer_config.json", "special_tokens_map.json")


def padding_token(folder: ModelFolder) -> int:
    """The id of the folder's ``pad_token``.

    Raises:
        ArtifactError: no file names one, or tokenizer.json does not have it.
    """
    token = next((given for name in FILES if (given := folder.json(name).get("pad_token")) is not None), None)
    text = token.get("content") if isinstance(token, dict) else token
    if not isinstance(text, str):
        raise ArtifactError(
            f"{FILES[0]}: pad_token is missing, and this model sees the tokens that texts are filled with"
        )
    found = _ids(folder.json("tokenizer.json")).get(text)
    if found is None:
        raise ArtifactError(f"{FILES[0]}: pad_token is {text!r:.80}, which tokenizer.json does not have")
    return found


def _ids(tokenizer: dict[str, Any]) -> dict[str, int]:
    model = tokenizer.get("model")
    words = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(words, list):  # Unigram: pairs of a piece and its probability
        words = {piece[0]: index for index, piece in enumerate(words) if isinstance(piece, list) and piece}
    added = {t["content"]: t["id"] for t in tokenizer.get("added_tokens") or [] if isinstance(t, dict)}
    return {**(words if isinstance(words, dict) else {}), **added}
