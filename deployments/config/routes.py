"""Which versions of a model the gateway reaches, and how much of the traffic each gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from deployments.config.base import ModalityName, Strict
from models.catalog.model_spec import require_version

REST_AFTER_S = 10.0  # after its last call, a version that may sleep is left alone: asking would wake it


class Override(Strict):
    """Requests that go to one version whatever the weights say: those of one routing key, or with one header value."""

    version: str
    key: str | None = None  # none: header and value choose
    header: str | None = None  # none: key chooses
    value: str | None = None  # of the header; none: key chooses

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.key is None) == (self.header is None) or (self.header is None) != (self.value is None):
            raise ValueError("an override needs either key, or header and value")
        return self


class ModelRoutes(Strict):
    """The versions of one model name that the gateway reaches, and the share of traffic of each."""

    type: ModalityName
    # Weights, relative to their sum; 0: reached by name@version only.
    versions: dict[str, Annotated[float, Field(ge=0, le=1000)]]
    overrides: list[Override] = []  # the first that matches counts; none: weights decide
    # Percent of requests copied to a version, whose answers are only compared; none: no copies.
    shadow: dict[str, Annotated[float, Field(ge=0, le=100)]] = {}
    scale_to_zero: list[str] = []  # versions with min_replicas 0, whose requests wait for a replica; none: 503
    fallback: str | None = None  # answers while the chosen version has no replica; none: 503, as vectors differ

    @field_validator("versions")
    @classmethod
    def _check(cls, versions: dict[str, float]) -> dict[str, float]:
        for version in versions:
            require_version("a model", version)
        if not versions or sum(versions.values()) <= 0:
            raise ValueError("at least one version needs a weight above 0, at most 1000")
        return versions

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        named = {*self.shadow, *self.scale_to_zero, *(override.version for override in self.overrides)}
        named |= {self.fallback} if self.fallback else set()
        unknown = sorted(named - set(self.versions))
        if unknown:
            known = ", ".join(self.versions)
            raise ValueError(f"version {unknown[0]!r} is not among the versions ({known}); list it with weight 0")
        return self


def shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Each version's part of unkeyed traffic, adding up to 1."""
    total = sum(weights.values())
    return {version: weight / total for version, weight in weights.items()}
