"""What an embedder needs of a model: its catalogue entry and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pathlib import Path

    from models.modalities.modality import Modality


class ModelConfig(BaseModel):
    """The keys that ``config`` of a catalogue entry may have; each modality has its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelEntry(Protocol):
    """The part of a catalogue entry that an embedder needs."""

    @property
    def name(self) -> str:
        """Name of the model, such as ``all-MiniLM-L6-v2``."""

    @property
    def dimensions(self) -> int:
        """Dimensions of its vectors."""

    @property
    def precision(self) -> str:
        """Precision of its matrix products, such as ``int8``."""

    @property
    def config(self) -> dict[str, Any]:
        """Its ``config``, checked by its modality's ``ModelConfig``."""

    @property
    def modality(self) -> Modality:
        """The modality that it embeds."""


class ModelFiles(Protocol):
    """The files of one model: the part of an artifact that an embedder needs."""

    @property
    def spec(self) -> ModelEntry:
        """Its catalogue entry."""

    @property
    def graph(self) -> Path:
        """Its ONNX file."""

    @property
    def tokenizer(self) -> Path | None:
        """Its tokenizer.json, where it has one."""

    @property
    def hash(self) -> str:
        """Hash of its content, 64 hex digits."""
