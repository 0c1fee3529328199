"""One architecture: the catalogue entry of its folders, and its serving graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import onnx

from models.catalog.folder import ModelFolder
from models.graph.linear import Linear, Weights


class Family(ABC):
    """An architecture whose graph is built from safetensors weights."""

    model_types: ClassVar[tuple[str, ...]]  # ``model_type`` of its config.json
    modality: ClassVar[str]
    projection: ClassVar[str | None] = None  # a weight that the graph needs and that not every folder has
    # Keys of config.json that the graph reads, or refuses a value of; others must be in ``config_keys.NEUTRAL``.
    config_keys: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:
        """The length of its vectors.

        Args:
            config: config.json.
            settings: what ``settings`` returned.
        """

    def tokenizer_file(self, folder: ModelFolder) -> str:  # noqa: ARG002 - other families look at it
        """The file that turns texts into token ids, of those that lie beside config.json in ``folder``."""
        return "tokenizer.json"

    @abstractmethod
    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """``config`` of the catalogue entry, read from the files of ``folder``.

        Raises:
            ArtifactError: the files ask for something that is not served.
        """

    @abstractmethod
    def build(
        self, config: dict[str, Any], weights: Weights, linear: Linear, settings: dict[str, Any]
    ) -> onnx.ModelProto:
        """The serving graph.

        Args:
            config: config.json.
            weights: float32, by the names that the graphs use.
            linear: how the precision computes products.
            settings: ``config`` of the catalogue entry.

        Raises:
            ArtifactError: the configuration asks for something that the graph cannot do.
            KeyError: a weight is missing.
        """
