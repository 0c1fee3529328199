"""What an encoder answers to one call."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deployments.contract.embedding import Embedding, Label, Outcome
from deployments.contract.items import ItemError


@dataclass(frozen=True, slots=True)
class Stages:
    """Where the time of a call went in the encoder, in seconds. Of several batches, the one that ended last counts."""

    queue_s: float = 0.0
    preprocess_s: float = 0.0
    inference_s: float = 0.0


@dataclass(slots=True)
class EncodeReply:
    """The answer to one call: a row for every item, errors for those that have none."""

    label: Label
    vectors: NDArray[np.float32]  # [n, dimensions]; rows of failed items are zero and never read
    tokens: list[int]  # tokens of each item; 0 for images
    errors: dict[int, ItemError] = field(default_factory=dict)  # by row
    stages: Stages = Stages()

    def outcome(self, row: int) -> Outcome:
        """What the item of a row came to; its vector is a view of the reply's."""
        return self.errors.get(row) or Embedding(self.vectors[row], self.tokens[row], self.label)


@dataclass(frozen=True, slots=True)
class WrongArtifact:
    """The answer of a replica that does not have the artifact that a call names: nothing was computed."""

    label: Label  # of the one that it has
