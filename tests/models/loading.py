"""Real models for the tests: pulled once into the store, loaded once per session."""

from __future__ import annotations

from functools import cache

from models.catalog.artifact import Artifact
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.engine.session import EngineOptions
from models.modalities.text import TextEmbedder


@cache
def artifact_of(reference: str) -> Artifact:
    """The artifact of a catalogue entry; synthetic weights stand in where no hub answers."""
    return pull(Catalog.load().find(reference), allow_synthetic=True)


@cache
def embedder_of(reference: str) -> Embedder:
    """A loaded catalogue entry on two threads."""
    return open_embedder(artifact_of(reference), EngineOptions(threads=2))


def text_model(reference: str) -> TextEmbedder:
    """A loaded text version."""
    model = embedder_of(reference)
    assert isinstance(model, TextEmbedder)
    return model
