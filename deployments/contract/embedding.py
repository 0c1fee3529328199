"""One vector on its way from a reply to whoever asked: in the queue's results, in single-flight and in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.contract.earlier_release import restore
from deployments.contract.items import ItemError


@dataclass(frozen=True, slots=True)
class Label:
    """Which artifact computed a vector. The replica that computed it says so in its reply."""

    model: str  # name@version
    hash: str  # of the artifact's content
    synthetic: bool = False  # the weights are random
    numerics: str = ""  # the class of what computed it, such as cpu/fp32/avx512f/onnxruntime-1.32.0; empty: not said
    batch_dependent: bool = False  # a vector depends on the other inputs of its batch, so that none is cached
    adapted: tuple[str, str] | None = None  # vectors lie in the space of this version, of an artifact with this hash

    @property
    def identity(self) -> str:
        """What vectors must have in common to have equal bits: the artifact, and the numerics class where one is known."""
        return f"{self.hash} {self.numerics}" if self.numerics else self.hash

    def answers(self, wanted: str | None) -> bool:
        """Whether this is what a call wants that names a hash or an identity."""
        return wanted in (self.hash, self.identity)

    def __setstate__(self, state: Sequence[Any]) -> None:
        """Take what another process pickled; one of an earlier release knows the first fields alone."""
        restore(self, state)


@dataclass(slots=True, eq=False)  # not frozen: that takes 0.6 µs of each vector
class Embedding:
    """The vector of one item."""

    vector: NDArray[np.float32]  # [dimensions], of unit length; may be a row of its batch
    tokens: int  # of the item; 0 for images
    label: Label
    # Characters of its text, or ids of its list, that lie behind where the model stops reading; None: nobody said.
    cut: int | None = 0


Outcome = Embedding | ItemError  # what one item came to
