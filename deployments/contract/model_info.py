"""What an encoder says of itself."""

from __future__ import annotations

from dataclasses import dataclass

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
