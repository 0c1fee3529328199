"""Everything in which one modality differs from another, before a model is loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from models.errors import InputError
from models.modalities.base import Embedder, Item
from models.modalities.model_files import ModelConfig, ModelFiles

if TYPE_CHECKING:
    from pathlib import Path

    from models.engine.session import EngineOptions


class Modality(ABC):
    """One modality: how its inputs are checked, counted and prepared."""

    name: ClassVar[str]  # as configurations, catalogues, headers and v2 tensors write it
    config: ClassVar[type[ModelConfig]]
    has_tokenizer: ClassVar[bool] = False  # whether a tokenizer lies beside a model's graph
    fetchable: ClassVar[bool] = False  # whether items may be named by URL
    portable: ClassVar[bool] = False  # whether a ``Decoder`` deployment can prepare its items
    # What an encoder's ``batch_cost`` counts for one unit of ``EngineOptions.largest_run``.
    unit_cost: ClassVar[int] = 1
    # The key of ``queue`` that bounds one call, in the unit of ``estimate``.
    call_limit: ClassVar[Literal["call_cost", "call_images"]] = "call_cost"
    # Of an encoder's ``user_config``, those that not every modality has a use for.
    encoder_keys: ClassVar[tuple[str, ...]] = ()
    graph_inputs: ClassVar[str]  # what its graphs take, as messages say it
    from_files: ClassVar[bool] = False  # whether the command line reads an item from a file of its own
    noun: ClassVar[str]  # what its models embed, as messages say it
    json_items: ClassVar[str]  # what strings of its v2 tensors hold

    @property
    def deployment(self) -> str:
        """The name of the Serve deployment of its encoders: ``TextEncoder``."""
        return f"{self.name.capitalize()}Encoder"

    @abstractmethod
    def takes(self, inputs: frozenset[str]) -> bool:
        """Whether a graph with inputs of these names is one of this modality."""

    @abstractmethod
    def open(self, artifact: ModelFiles, options: EngineOptions | None = None) -> Embedder:
        """Load an artifact.

        Raises:
            ArtifactError: its files do not load, or are of another modality.
        """

    def claims(self, item: Item) -> bool:  # noqa: ARG002 - for modalities that can tell
        """Whether an item that nobody said the modality of is one of this one, and no plain text."""
        return False

    @abstractmethod
    def check(self, item: Item, where: str, limits: Any) -> Item:
        """An item of a request as the encoder wants it.

        Args:
            item: what the client sent, not empty.
            where: what errors call it: ``input[3]``.
            limits: of the gateway's configuration.

        Raises:
            LimitError: it is larger than a limit.
            InputError: it is of another modality, or malformed.
        """

    def refusal(self, item: Item, limits: Any) -> InputError | None:  # noqa: ARG002 - for modalities that can tell
        """Why a checked item may not be computed, as far as a quick look tells.

        Asked only for what no cache answered; whatever passes is checked again where it is prepared.
        """
        return None

    @abstractmethod
    def estimate(self, item: Item, most: int | None) -> int:
        """The work of an item as far as the gateway can tell, in the unit of ``call_limit``.

        Args:
            item: a checked one.
            most: the model's ``max_tokens``; None while no replica has said it, or where there are no tokens.
        """

    @abstractmethod
    def read_sample(self, path: Path) -> list[Item]:
        """The inputs that a file or a folder holds, for comparisons."""

    @abstractmethod
    def from_bytes(self, element: memoryview, where: str) -> Item:
        """An element of a binary v2 tensor as an item.

        Raises:
            InputError: it is none.
        """
