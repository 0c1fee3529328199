"""The architectures that are built from weights. A new family is a file in this folder and an entry in ``FAMILIES``."""

from __future__ import annotations

from typing import Any

from models.catalog.families.base import Family
from models.catalog.families.bert import Bert
from models.catalog.families.clip_text import ClipText
from models.catalog.families.clip_vision import ClipVision
from models.catalog.families.distilbert import DistilBert
from models.catalog.families.modern_bert import ModernBert
from models.catalog.families.mpnet import MPNet
from models.catalog.families.nomic_bert import NomicBert
from models.catalog.families.open_clip import OpenClipText, OpenClipVision
from models.catalog.families.roberta import Roberta
from models.catalog.families.siglip import SiglipText, SiglipVision
from models.errors import ArtifactError

FAMILIES: tuple[Family, ...] = (
    Bert(),
    Roberta(),
    MPNet(),
    DistilBert(),
    ModernBert(),
    NomicBert(),
    ClipVision(),
    ClipText(),
    OpenClipVision(),
    OpenClipText(),
    SiglipVision(),
    SiglipText(),
)  # the first that fits is taken


def has_towers(config: dict[str, Any]) -> bool:
    """Whether a ``config.json`` is of a model that embeds texts and pictures."""
    return len([family for family in FAMILIES if config.get("model_type") in family.model_types]) > 1


def family_of(config: dict[str, Any], modality: str | None = None) -> Family:
    """The family of a Hugging Face ``config.json``.

    Args:
        config: the content of the file.
        modality: chooses a tower of a model that has several.

    Raises:
        ArtifactError: no family fits; the message lists the known ones.
    """
    model_type = config.get("model_type")
    for family in FAMILIES:
        if model_type in family.model_types and modality in (None, family.modality):
            return family
    known = dict.fromkeys(name for family in FAMILIES for name in family.model_types)
    raise ArtifactError(
        f"config.json: no graph is built for this architecture, export it to ONNX instead: model_type is {model_type!r}; "
        f"taken are {', '.join(known)}"
    )
