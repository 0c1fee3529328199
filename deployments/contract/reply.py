"""What an encoder answers to one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.contract.earlier_release import restore
from deployments.contract.embedding import Embedding, Label, Outcome
from deployments.contract.items import ItemError


@dataclass(frozen=True, slots=True)
class Stages:
    """Where the time of a call went in the encoder, in seconds, and what it did not read. Of several batches, the one that ended last counts."""

    queue_s: float = 0.0
    preprocess_s: float = 0.0
    inference_s: float = 0.0
    # (row, amount) for each item that was cut: characters of a text, ids of a list, that lie behind the cut. None: an encoder
    # of an earlier release did not say it.
    cut: tuple[tuple[int, int], ...] | None = None

    def __setstate__(self, state: Sequence[Any]) -> None:
        """Take what another process pickled; one of an earlier release knows the first fields alone."""
        restore(self, state)


@dataclass(slots=True)
class EncodeReply:
    """The answer to one call: a row for every item, errors for those that have none."""

    label: Label
    vectors: NDArray[np.float32]  # [n, dimensions]; rows of failed items are zero and never read
    tokens: list[int]  # tokens of each item; 0 for images
    errors: dict[int, ItemError] = field(default_factory=dict)  # by row
    stages: Stages = Stages()

    def outcomes(self, count: int) -> list[Outcome]:
        """What the items of the first ``count`` rows came to; their vectors are views of the reply's."""
        said = self.stages.cut
        cut, usual = dict(said or ()), None if said is None else 0
        return [
            self.errors.get(row) or Embedding(self.vectors[row], self.tokens[row], self.label, cut.get(row, usual))
            for row in range(count)
        ]


@dataclass(frozen=True, slots=True)
class WrongArtifact:
    """The answer of a replica that does not have the artifact that a call names: nothing was computed."""

    label: Label  # of the one that it has
