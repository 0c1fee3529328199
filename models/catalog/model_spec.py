"""An entry of the catalogue: one version of one model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.catalog.paths import resolve_path
from models.catalog.source_entry import Adapted, Sha256, Source
from models.errors import ConfigError
from models.graph.precision import PRECISIONS
from models.graph.variants import VARIANTS
from models.modalities import MODALITIES, Modality, modality_of
from models.validation import describe, one_of

# Valid in the name of a Serve application and in a Kubernetes label.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
VERSION = re.compile(r"[a-z0-9]([a-z0-9.-]{0,22}[a-z0-9])?")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Golden(_Strict):
    """Texts and the published cosines of their pairs, in the order (0, 1), (0, 2), ..., (1, 2), ..."""

    texts: Annotated[list[str], Field(min_length=2)]
    cosines: list[float]
    tolerance: Annotated[float, Field(gt=0)] = 1e-3

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        pairs = len(self.texts) * (len(self.texts) - 1) // 2
        if len(self.cosines) != pairs:
            raise ValueError(f"golden.cosines must have {pairs} entries for {len(self.texts)} texts")
        return self


class ModelSpec(_Strict):
    """One version of one model."""

    model: str = ""
    version: str = ""
    name: str
    path: str
    type: str  # the modality
    dimensions: Annotated[int, Field(ge=1, le=16384)]
    precision: str = "fp32"
    variant: str | None = None  # of a graph that is built from weights: one for other hardware, which computes the same
    calibration: str | None = None  # for int8: which of the measurements in models/graph/calibrations/ to use
    config: dict[str, Any] = {}
    sources: list[Source] = []
    # The model of whose weights these are a part, where the sources of its towers do not show it: the same word for each tower.
    checkpoint: str | None = None
    golden: Golden | None = None
    adapted: Adapted | None = None  # its vectors are mapped into another version's space (`models align`)
    # Content hash of the artifact that these files make; another one is not served. Random weights have hashes of their own.
    hash: Sha256 | None = None

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        try:
            resolve_path(path)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return path

    @field_validator("type")
    @classmethod
    def _check_type(cls, name: str) -> str:
        return modality_of(name).name

    @field_validator("precision")
    @classmethod
    def _check_precision(cls, name: str) -> str:
        if name not in PRECISIONS:
            raise ValueError(f"must be {one_of(PRECISIONS)}, not {name!r}")
        return name

    @field_validator("variant")
    @classmethod
    def _check_variant(cls, name: str | None) -> str | None:
        if name is not None and name not in VARIANTS:
            raise ValueError(f"must be {one_of(VARIANTS)}, or left out, not {name!r}")
        return name

    @model_validator(mode="after")
    def _check_config(self) -> Self:
        try:
            self.modality.config.model_validate(self.config)
        except ValidationError as error:
            raise ValueError(describe(error, prefix="config.")) from error
        return self

    @property
    def modality(self) -> Modality:
        """The modality of its inputs."""
        return MODALITIES[self.type]

    @property
    def reference(self) -> str:
        """``name@version``, as requests and headers write it."""
        return f"{self.model}@{self.version}"

    @property
    def checkpoints(self) -> frozenset[str]:
        """What its weights may be part of. Vectors of towers that have one of these in common may be compared; mapped ones with none."""
        if self.adapted is not None:
            return frozenset()
        said = frozenset(() if self.checkpoint is None else (self.checkpoint,))
        return said.union(*(source.checkpoints for source in self.sources))

    @property
    def graph(self) -> Path:
        """Absolute path of the graph; ``$EMBEDSERVE_MODELS`` replaces ``./models/store`` where it is set."""
        return resolve_path(self.path)


def require_name(model: object) -> None:
    """Refuse what cannot name a model: the names of applications and files are made of it.

    Raises:
        ValueError: says what would be right.
    """
    if not isinstance(model, str) or not NAME.fullmatch(model):
        raise ValueError(f"model name {model!r:.80} must be lower-case letters, digits and '-', at most 40")


def require_version(model: object, version: object) -> None:
    """Refuse what cannot be a version.

    Raises:
        ValueError: says what would be right.
    """
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise ValueError(
            f'version {version!r:.80} of {model} must be a quoted string such as "1.0.0": lower-case letters, digits, '
            "'.' and '-', at most 24"
        )
