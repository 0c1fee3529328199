"""An artifact in an encoder's memory."""

from __future__ import annotations

from dataclasses import dataclass

from deployments.contract.embedding import Label
from models.engine.card_trouble import Trouble
from models.modalities.base import Embedder, Preparation


@dataclass(frozen=True)
class Loaded:
    """An artifact in memory, with the label that its vectors carry."""

    embedder: Embedder
    label: Label
    prepare: Preparation
    mixed: bool = False  # replicas of other numerics classes may serve it too
    checkpoints: tuple[str, ...] = ()  # what its weights may be part of
    notices: tuple[Trouble, ...] = ()  # why it computes elsewhere, or less well, than it should
