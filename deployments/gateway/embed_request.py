"""What every protocol asks for, and what it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deployments.config.gateway import TokenVocabulary
from deployments.contract.embedding import Embedding, Label
from deployments.contract.items import Item

ITEM_BYTES = 1024  # of an item on its way: itself, its key, whoever waits for it, its part of a call
DIMENSION_BYTES = 16  # of a vector until it is part of an answer: as a number, as a row, as base64 twice or as digits
CacheState = Literal["hit", "miss", "partial"]


@dataclass(slots=True)  # not frozen, nor is the result: that takes 2.5 µs of each request
class EmbedRequest:
    """What every protocol comes down to."""

    model: str
    items: Sequence[Item]
    dimensions: int | None = None
    key: str | None = None  # whom A/B routing keeps with a version
    headers: Mapping[str, str] = field(default_factory=dict)  # what routing overrides may match
    timeout_s: float | None = None
    client: str | None = None  # the name of its API key: whose rate it counts against
    bulk: bool = False  # nobody waits for it: it lets others pass
    param: str = "input"  # the field that errors name
    truncate: bool = True  # False: what is longer than the model reads is refused
    normalize: bool | None = (
        None  # whether vectors must have length 1, or must be as the model makes them; None: they need not
    )
    prompt: str | None = None  # the name of one of the model's prompts
    kind: str | None = None  # of input, as neighbours' protocols name it: a query, a document
    modality: str | None = None  # of the items, where the request says it; None: whatever the model takes
    modalities: Sequence[str] | None = None  # of each item, where the request says it and they differ
    vocabulary: TokenVocabulary | None = None  # whose token ids the items are; None: as the configuration says
    # Told how many bytes a long list takes until its answer is made; raises UnavailableError where there is no room for them.
    room: Callable[[int], None] | None = None

    def make_room(self, dimensions: int) -> None:
        """Tell how much memory its items and their vectors take until they are answered.

        Raises:
            UnavailableError: there is not so much.
        """
        if self.room is not None:
            self.room(len(self.items) * (ITEM_BYTES + dimensions * DIMENSION_BYTES))


@dataclass(slots=True)
class EmbedResult:
    """Unit vectors of one artifact."""

    label: Label
    vectors: NDArray[np.float32]  # [n, dimensions]
    tokens: int
    cache: CacheState
    cut: int = 0  # items of which the model did not read everything
    behind: int = 0  # characters of them, or ids, that it did not read
    labels: Sequence[Label] | None = (
        None  # of each vector, where several towers computed them; None: all have ``label``
    )
    kept: Sequence[Embedding] | None = None  # those that the cache holds, where these are their vectors as they are
