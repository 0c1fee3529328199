"""The catalogue of models: which versions exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from models.catalog.model_spec import ModelSpec, require_name, require_version
from models.catalog.paths import catalog_path
from models.errors import CatalogError, ModelNotFoundError
from models.validation import describe


class Catalog(BaseModel):
    """All known versions by model name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
