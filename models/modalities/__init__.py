"""The modalities. A new one is one file beside this one and one entry in ``MODALITIES``."""

from __future__ import annotations

from collections.abc import Iterable

from models.modalities.image import Image
from models.modalities.modality import Modality
from models.modalities.text import Text
from models.validation import one_of

__all__ = ["MODALITIES", "Modality", "graph_inputs", "modality_of", "modality_of_graph"]

MODALITIES: dict[str, Modality] = {modality.name: modality for modality in (Text(), Image())}


def modality_of(name: str) -> Modality:
    """The modality of a name, as catalogue entries and configurations write it.

    Raises:
        ValueError: there is none of that name; the message lists what there is.
    """
    if name not in MODALITIES:
        raise ValueError(f"must be {one_of(MODALITIES)}, not {name!r}")
    return MODALITIES[name]


def modality_of_graph(inputs: Iterable[str]) -> Modality | None:
    """The modality whose graphs have inputs of these names; None where there is none."""
    names = frozenset(inputs)
    return next((modality for modality in MODALITIES.values() if modality.takes(names)), None)


def graph_inputs() -> str:
    """A sentence for error messages: which inputs the graphs of each modality take."""
    return ", ".join(f"{modality.name} graphs take {modality.graph_inputs}" for modality in MODALITIES.values())
