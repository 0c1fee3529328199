"""One vector on its way from a reply to whoever asked: in the queue's results, in single-flight and in the cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deployments.contract.items import ItemError


@dataclass(frozen=True, slots=True)
class Label:
    """Which artifact computed a vector. The replica that computed it says so in its reply."""

    model: str  # name@version
    hash: str  # of the artifact's content
    synthetic: bool = False  # the weights are random


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The vector of one item."""

    vector: NDArray[np.float32]  # [dimensions], of unit length; may be a row of its batch
    tokens: int  # of the item; 0 for images
    label: Label


Outcome = Embedding | ItemError  # what one item came to
