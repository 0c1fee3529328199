"""Real models for the tests: pulled once into the store, loaded once per session."""

from __future__ import annotations

from functools import cache

from models.catalog.artifact import Artifact
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.engine.session import EngineOptions


@cache
def artifact_of(reference: str) -> Artifact:
    """The artifact of a catalogue entry; synthetic weights stand in where no hub answers."""
    return pull(Catalog.load().find(reference), allow_synthetic=True)


@cache
def embedder_of(reference: str) -> Embedder:
    """A loaded catalogue entry on two threads."""
    return open_embedder(artifact_of(reference), EngineOptions(threads=2))
