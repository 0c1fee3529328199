"""Versions of the catalogue as a command line names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from models.catalog.model_spec import ModelSpec

References = Annotated[
    list[str] | None, typer.Argument(help="NAME or NAME@VERSION, any number; every version when left out.")
]


def selected(references: list[str] | None) -> list[ModelSpec]:
    """The catalogue entries of references; a name alone means all its versions, nothing means everything.

    Raises:
        ConfigError: the catalogue is invalid.
        ModelNotFoundError: there is no such name or version.
    """
    from models.catalog.catalog import Catalog

    catalog = Catalog.load()
    specs: list[ModelSpec] = []
    for reference in references or []:
        versions = catalog.models.get(reference)
        specs += versions.values() if versions else [catalog.find(reference)]
    return specs or catalog.specs()
