"""Everything in which one kind of input differs from another, as two interfaces: of the kind, and of a loaded model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.engine.types import Vectors
from models.errors import ArtifactError, InputError

if TYPE_CHECKING:  # ONNX Runtime is loaded with a model, not by gateways, which check inputs only
    from pathlib import Path

    from models.engine.engine import Engine
    from models.engine.session import EngineOptions

Item = str | tuple[int, ...] | bytes  # a text, ready-made token ids, or an encoded picture
Row = NDArray[Any]  # one prepared input: int32 [t] token ids, uint8 [h, w, 3] pixels, ...
Prepared = Row | InputError  # an input that cannot be prepared fails alone


class ModelConfig(BaseModel):
    """What ``config`` of a catalogue entry may say; each modality has its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelEntry(Protocol):
    """What a catalogue entry says that an embedder needs."""

    @property
    def name(self) -> str:
        """Of the model, such as ``all-MiniLM-L6-v2``."""

    @property
    def dimensions(self) -> int:
        """Of its vectors."""

    @property
    def precision(self) -> str:
        """Of its products."""

    @property
    def config(self) -> dict[str, Any]:
        """As its modality's ``ModelConfig`` checked it."""

    @property
    def modality(self) -> Modality:
        """The kind of input that it embeds."""


class ModelFiles(Protocol):
    """The files that make one model: an artifact, as far as an embedder knows it."""

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
        """Of its content, 64 hex digits."""


class Preparation(Protocol):
    """Turns items into rows. It can be pickled where ``portable``, and then runs in another process as well."""

    apart: ClassVar[bool]  # each item is worth a thread of its own
    portable: ClassVar[bool]  # it knows all it needs, so that a ``Decoder`` deployment can run it

    def quick(self, items: Sequence[Item]) -> bool:
        """Whether preparing these takes less time than handing them to another thread."""

    def __call__(self, items: Sequence[Item]) -> list[Prepared]:
        """A row for each item, or why there is none; raises nothing that an item can cause."""


class Embedder(ABC):
    """One loaded model: items → rows → unit vectors."""

    artifact: ModelFiles
    engine: Engine

    @abstractmethod
    def preparation(self, limits: Any = None) -> Preparation:
        """How items become rows.

        Args:
            limits: of the encoder's configuration; None for the modality's defaults.
        """

    def embed_items(self, items: Sequence[Item]) -> Vectors:
        """Unit vectors of items, float32 [n, d], in order.

        Raises:
            InputError: an item cannot be prepared.
        """
        rows = self.preparation()(items)
        bad = next((row for row in rows if isinstance(row, InputError)), None)
        if bad is not None:
            raise bad
        return self.embed_rows([row for row in rows if not isinstance(row, InputError)])

    @abstractmethod
    def embed_rows(self, rows: Sequence[Row]) -> Vectors:
        """Unit vectors of prepared inputs, float32 [n, d], in order."""

    @abstractmethod
    def cost(self, row: Row) -> int:
        """The work of a row, in the unit of the encoder's ``batch_cost``."""

    def tokens(self, row: Row) -> int:  # noqa: ARG002 - for modalities that have them
        """Tokens of a row, as ``usage`` counts them."""
        return 0

    def padding(self, rows: Sequence[Row]) -> float | None:  # noqa: ARG002 - for modalities that pad
        """The part, from 0 to 1, of what these rows are computed as that is padding; None where nothing is padded."""
        return None

    @property
    def vocabulary(self) -> int | None:
        """How many token ids there are; None for a model that takes no token ids."""
        return None

    @property
    def max_tokens(self) -> int | None:
        """Tokens of an input that count, special ones included; None for a model without tokens."""
        return None

    @abstractmethod
    def probe_row(self) -> Row:
        """One fixed input, whose vector proves that the model works."""

    @abstractmethod
    def warm_up_batches(self) -> Iterator[list[Row]]:
        """Batches of the shapes that traffic brings."""

    @abstractmethod
    def warm_up_example(self) -> Mapping[str, NDArray[Any]]:
        """One valid row of each of the graph's inputs, for a warm-up in fixed shapes."""


class Modality(ABC):
    """A kind of input."""

    name: ClassVar[str]  # as configurations, catalogues, headers and v2 tensors write it
    config: ClassVar[type[ModelConfig]]
    has_tokenizer: ClassVar[bool] = False  # whether a tokenizer lies beside a model's graph
    fetchable: ClassVar[bool] = False  # whether items may be named by URL
    portable: ClassVar[bool] = False  # whether a ``Decoder`` deployment can prepare its items
    unit_cost: ClassVar[int] = (
        1  # what an encoder's ``batch_cost`` counts for one unit of ``EngineOptions.largest_run``
    )
    call_limit: ClassVar[Literal["call_cost", "call_images"]] = (
        "call_cost"  # the key of ``queue`` that bounds one call, in the unit of ``estimate``
    )
    encoder_keys: ClassVar[
        tuple[str, ...]
    ] = ()  # of an encoder's ``user_config`` that not every modality has a use for
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
    def estimate(self, item: Item) -> int:
        """The work of an item as far as the gateway can tell, in the unit of ``call_limit``."""

    @abstractmethod
    def read_sample(self, path: Path) -> list[Item]:
        """The inputs that a file or a folder holds, for comparisons."""

    @abstractmethod
    def from_bytes(self, element: bytes, where: str) -> Item:
        """An element of a binary v2 tensor as an item.

        Raises:
            InputError: it is none.
        """


def require_modality(engine: Engine, wanted: str, graph: Path) -> None:
    """Refuse a graph of another modality; one that is loaded at its first use is not looked at.

    Raises:
        ArtifactError: it takes other inputs.
    """
    from models.modalities import graph_inputs, modality_of_graph

    if engine.options.lazy:
        return
    found = modality_of_graph(engine.inputs)
    if found is None:
        raise ArtifactError(f"{graph.name} has inputs {sorted(engine.inputs)}; {graph_inputs()}")
    if found.name != wanted:
        raise ArtifactError(f"{graph.name} is a graph for {found.name}, the catalogue says type: {wanted}")


def stacked(parts: Sequence[Vectors]) -> Vectors:
    """Vectors of several runs as one array."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
