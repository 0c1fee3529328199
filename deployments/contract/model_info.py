"""What an encoder says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deployments.contract.earlier_release import restore
from deployments.contract.embedding import Label


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The artifact that an encoder serves, what it takes, and where it runs."""

    label: Label
    name: str
    modality: str
    dimensions: int
    precision: str
    provider: str
    vocabulary: int | None = None
    max_tokens: int | None = None
    swap_error: str | None = None  # why the last asked-for artifact does not serve, for everybody: no paths
    mixed: bool = False  # replicas of several numerics classes may serve it
    prompts: tuple[str, ...] = ()  # names of those that its configuration has
    # What its weights may be part of: towers that have one of these in common make vectors of one space. None: nobody said.
    checkpoints: tuple[str, ...] | None = None
    selectable: tuple[str, ...] | None = None  # prompts that requests may name; None: nobody said
    warnings: tuple[str, ...] = ()  # why it computes elsewhere, or less well, than it should, for everybody: no paths

    def __setstate__(self, state: Sequence[Any]) -> None:
        """Take what another process pickled; one of an earlier release knows the first fields alone."""
        restore(self, state)
