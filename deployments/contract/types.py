"""What gateway and encoders say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Item = str | tuple[int, ...] | bytes  # a text, ready-made token ids, or an encoded image


@dataclass(frozen=True, slots=True)
class Label:
    """Which artifact computed a vector; travels with it from the replica that did."""

    model: str  # name@version
    hash: str
    synthetic: bool = False


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one item got no vector, as the fields of an ``InputError`` or ``LimitError``."""

    message: str
    code: str
    limit: bool = False


@dataclass(frozen=True, slots=True)
class Queued:
    """What a gateway says with each call, so that the autoscaler sees work that encoders do not hold yet."""

    gateway: str
    cost: int  # of this call: tokens or pictures, as the gateway counts them
    waiting: int  # cost of what waits for the same version in that gateway
    refused: int = 0  # cost of what that gateway refused for want of capacity since its last call
    trace: tuple[str, ...] = ()  # W3C traceparents of the call and of its requests, where they are traced


@dataclass(frozen=True, slots=True)
class Stages:
    """Where the time of a call went in the encoder, in seconds; of several batches, the one that ended last counts."""

    queue_s: float = 0.0
    preprocess_s: float = 0.0
    inference_s: float = 0.0


@dataclass(slots=True)
class EncodeReply:
    """The answer to one call: a row for every item, errors for those that have none."""

    label: Label
    vectors: NDArray[np.float32]  # [n, d]; rows of failed items are zero and never read
    tokens: list[int]  # tokens of each item; 0 for images
    errors: dict[int, ItemError] = field(default_factory=dict)
    stages: Stages = Stages()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What an encoder says of itself."""

    label: Label
    name: str
    modality: str
    dimensions: int
    precision: str
    provider: str
    vocabulary: int | None = None
    max_tokens: int | None = None
    swap_error: str | None = None  # why the last asked-for artifact is not the one that serves
    extra: dict[str, Any] = field(default_factory=dict)
