"""Reads model folders in the layout of sentence-transformers and transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.errors import ArtifactError
from models.modalities.text import Pooling

MODULES = (
    "Transformer",
    "Pooling",
    "Normalize",
)  # of sentence-transformers; our vectors have length 1 with or without Normalize


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if the file does not exist.

    Raises:
        ArtifactError: it holds something else.
    """
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path} must hold a JSON object, {{...}}")
    return document


def require_known_modules(folder: Path) -> None:
    """Refuse a sentence-transformers folder with modules other than encoder, pooling and normalisation.

    Raises:
        ArtifactError: it has others; the message names them.
    """
    modules = folder / "modules.json"
    try:
        listed = json.loads(modules.read_text(encoding="utf-8")) if modules.is_file() else []
        names = [module["type"].rpartition(".")[2] for module in listed]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{modules} is no list of modules, each with its 'type': {error}") from error
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        raise ArtifactError(f"its modules.json lists {', '.join(unknown)}; taken are {', '.join(MODULES)}")


def pooling_of(folder: Path) -> Pooling:
    """The pooling that the folder's pooling module asks for; ``mean`` if it has none.

    Raises:
        ArtifactError: it is neither the mean nor the first token.
    """
    settings = read_json(folder / "1_Pooling" / "config.json")
    modes = [name for name, on in settings.items() if name.startswith("pooling_mode_") and on is True]
    known: dict[str, Pooling] = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if not modes:
        return "mean"
    if len(modes) != 1 or modes[0] not in known:
        raise ArtifactError(f"its pooling is {', '.join(modes)}; taken are mean and cls, one of them")
    return known[modes[0]]
