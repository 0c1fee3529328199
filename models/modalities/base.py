"""A loaded model of whatever modality, and what goes into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from models.engine.types import Vectors
from models.errors import ArtifactError, InputError
from models.inputs.prompted import Prompted
from models.modalities.model_files import ModelFiles

if TYPE_CHECKING:  # ONNX Runtime is loaded with a model, not by gateways, which check inputs only
    from pathlib import Path

    from models.engine.engine import Engine

# A text, ready-made token ids, an encoded picture, which may lie in the body that it came in; text with a named prompt.
Item = str | tuple[int, ...] | bytes | memoryview | Prompted
Row = NDArray[Any]  # one prepared input: int32 [t] token ids, uint8 [h, w, 3] pixels, ...
Prepared = Row | InputError  # an input that cannot be prepared fails alone


class Preparation(Protocol):
    """Turns items into rows. A ``portable`` one can be pickled, and so run in another process."""

    apart: ClassVar[bool]  # one item is so much work that each gets a thread of its own
    portable: ClassVar[bool]  # it holds everything it needs, so that a ``Decoder`` deployment can run it

    def quick(self, items: Sequence[Item]) -> bool:
        """Whether preparing these items takes less time than handing them to another thread."""

    def __call__(self, items: Sequence[Item]) -> list[Prepared]:
        """For each item a row, or the error that explains why there is none; never raises because of an item."""


class PortablePreparation(Preparation, Protocol):
    """One that a ``Decoder`` deployment can run."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of every row, an array of uint8."""


class Embedder(ABC):
    """A loaded model: turns items into rows, and rows into unit vectors."""

    artifact: ModelFiles
    engine: Engine
    unit: bool = True  # whether its vectors have length 1

    @abstractmethod
    def preparation(self, limits: Any = None) -> Preparation:
        """What turns this model's items into rows.

        Args:
            limits: ``limits`` of the encoder's configuration; None for the modality's defaults.
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
        """How much work a row is, in the unit of the encoder's ``batch_cost``."""

    def tokens(self, row: Row) -> int:  # noqa: ARG002 - for modalities that have them
        """The tokens of a row that ``usage`` counts."""
        return 0

    def padding(self, rows: Sequence[Row]) -> float | None:  # noqa: ARG002 - for modalities that pad
        """The share of padding, 0 to 1, when these rows run together; None for a modality that pads nothing."""
        return None

    def full(self, rows: Sequence[Prepared]) -> list[int]:  # noqa: ARG002 - for modalities that cut what is too long
        """Which rows hold as much as one can, so that something of their items may be missing."""
        return []

    def behind(self, items: Sequence[Item]) -> list[int]:
        """How much of each item lies behind where the model stops reading: characters of a text, ids of a list.

        Asked only for items whose rows are full.
        """
        return [0] * len(items)

    def traits(self, item: Item, row: Row) -> dict[str, float]:  # noqa: ARG002 - for modalities that have some
        """Figures of one input whose distribution says whether the traffic changes; what it is about is none of them."""
        return {}

    @property
    def prompts(self) -> tuple[str, ...]:
        """Names of the prompts that its configuration has."""
        return ()

    @property
    def selectable(self) -> tuple[str, ...]:
        """Names of the prompts that an item may be given, also of those that say nothing."""
        return ()

    @property
    def vocabulary(self) -> int | None:
        """Number of token ids that the model knows; None for a model without token ids."""
        return None

    @property
    def max_tokens(self) -> int | None:
        """Tokens after which an input is cut, special ones included; None for a model without tokens."""
        return None

    @abstractmethod
    def probe_row(self) -> Row:
        """One fixed input, whose vector proves that the model works."""

    @abstractmethod
    def warm_up_batches(self) -> Iterator[list[Row]]:
        """Batches in the shapes that real requests have."""

    @abstractmethod
    def warm_up_example(self) -> Mapping[str, NDArray[Any]]:
        """For each input of the graph one valid row, [1, ...], for a warm-up in fixed shapes."""


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
    """Vectors of several runs, float32 [m, d] each, as one array [n, d]."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
