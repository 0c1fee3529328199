"""Writing an entry into a catalogue file that people edit too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.errors import CatalogError
from models.files import FileChangedError, replacing
from models.yaml_edit import edit


def require_new(path: Path, reference: str) -> None:
    """Refuse a reference that is already in a catalogue file.

    Raises:
        CatalogError: the reference is there, or the file is no catalogue.
    """
    model, _, version = reference.partition("@")
    if version in Catalog.load(path).models.get(model, {}):
        raise CatalogError(f"{reference} is in the catalogue already; versions do not change, add another")


def add_entry(path: Path, spec: ModelSpec) -> None:
    """Add an entry to a catalogue file, as the last version of its model; comments and order stay.

    Raises:
        CatalogError: the version exists, the changed file would not be a valid catalogue, or somebody else changed it.
    """
    before = path.read_bytes()
    require_new(path, spec.reference)
    fields = spec.model_dump(mode="json", exclude={"model", "version"}, exclude_none=True)
    text = before.decode()
    document = yaml.safe_load(text)
    name = spec.model if spec.model in document["models"] else quoted(spec.model)
    document["models"].setdefault(name, {})[DoubleQuotedScalarString(spec.version)] = quoted(fields)
    edited = edit(text, document)
    if edited is None:
        raise CatalogError(f"the layout of {path} does not allow to add {spec.reference} to it; write it there by hand")
    try:
        with replacing(path, before=before) as trial:
            trial.write_text(edited, encoding="utf-8")
            Catalog.load(trial)
    except FileChangedError as error:
        raise CatalogError(f"{error}; {spec.reference} is built and not yet in it: run the command again") from None
    except OSError as error:
        raise CatalogError(f"cannot write the catalogue {path}: {error.strerror}") from error


def quoted(value: Any) -> Any:
    """A value for YAML, with quotes around every text that would be read as something else: yes, 1234, null."""
    if isinstance(value, dict):
        return {quoted(key): quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [quoted(item) for item in value]
    if not isinstance(value, str):
        return value
    try:
        same = yaml.safe_load(value) == value
    except (yaml.YAMLError, ValueError):  # the second of a date that is none
        same = False
    return value if same else DoubleQuotedScalarString(value)
