"""Opening a model of any modality, and the proofs that it works."""

from __future__ import annotations

import numpy as np

from models.catalog.artifact import Artifact
from models.engine.session import EngineOptions
from models.engine.types import Vectors
from models.errors import ArtifactError
from models.modalities import MODALITIES
from models.modalities.base import Embedder

__all__ = ["Embedder", "open_embedder", "probe", "warm_up"]

UNIT_TOLERANCE = 1e-3  # how far a vector's length may be from 1; fp16 and int8 stay within a tenth of it


def open_embedder(artifact: Artifact, options: EngineOptions | None = None) -> Embedder:
    """Load an artifact.

    Raises:
        ArtifactError: it does not load, or yields vectors of another size than the catalogue says.
    """
    embedder = MODALITIES[artifact.spec.type].open(artifact, options)
    probe(embedder)
    return embedder


def probe(embedder: Embedder) -> Vectors:
    """Embed one fixed input and check the result: this proves that a model works.

    Returns:
        float32 [1, d].

    Raises:
        ArtifactError: the vector has wrong dimensions, is not finite, or is not of unit length where it should be.
    """
    name, dimensions = embedder.artifact.graph.name, embedder.artifact.spec.dimensions
    try:
        vector = embedder.embed_rows([embedder.probe_row()])
    except ArtifactError:
        raise
    except Exception as error:  # ORT and numpy raise many types when a graph is not what its declarations say
        raise ArtifactError(f"{name} loads and does not embed: {str(error).splitlines()[0]}") from error
    if vector.shape != (1, dimensions):
        raise ArtifactError(f"{name} gives vectors of {vector.shape[-1]} dimensions, the catalogue says {dimensions}")
    if not np.isfinite(vector).all():
        raise ArtifactError(f"{name} gives vectors that are not finite")
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if embedder.unit and abs(norm - 1) > UNIT_TOLERANCE:
        raise ArtifactError(f"{name} gives vectors of length {norm:.4f} instead of 1")
    return vector


def warm_up(embedder: Embedder) -> None:
    """Run batches of the usual shapes, so that the first requests find memory and threads ready.

    Raises:
        ArtifactError: a shape does not run, or gives numbers that are not finite.
    """
    name = embedder.artifact.graph.name
    try:
        embedder.engine.warm_up(embedder.warm_up_example())
        for rows in embedder.warm_up_batches():
            if not np.isfinite(embedder.embed_rows(rows)).all():
                raise ArtifactError(f"{name} gives vectors that are not finite")
    except ArtifactError:
        raise
    except Exception as error:  # as for the probe
        raise ArtifactError(f"{name} does not embed a batch: {str(error).splitlines()[0]}") from error
