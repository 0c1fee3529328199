"""Checks that run what the service runs: the longest input, full batches, every shape, pictures of every mode."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from models.company import SAME, company, mixed_rows
from models.embedder import UNIT_TOLERANCE, Embedder, warm_up
from models.engine.types import Vectors
from models.errors import ArtifactError, EmbedserveError
from models.modalities.base import Prepared
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder

BATCH_COPIES = 4  # of the mixed lengths: 32 texts, as many as a full call of short ones
MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16")
SIZES = ((64, 48), (1, 1), (300, 7))  # width and height
GREY = 160  # white in a picture of two colours


def service_checks(embedder: Embedder, *, batch_dependent: bool) -> Iterator[tuple[str, bool, str]]:
    """Name, result and detail of each check; a failed one is the last.

    Args:
        embedder: the loaded model.
        batch_dependent: whether its owner knows that vectors depend on the other inputs of a batch.
    """
    for name, inputs in _inputs(embedder):
        try:
            shown = _run(embedder, inputs)
        except EmbedserveError as error:
            yield name, False, str(error)
            return
        yield name, True, shown
    try:
        warm_up(embedder)
    except ArtifactError as error:
        yield "every shape", False, str(error)
        return
    measured = company(embedder)
    if measured is None:
        return
    said = "equal to the last bit" if measured.equal else f"lowest cosine {measured.lowest:.6f}"
    if measured.matters and not batch_dependent:
        said += (
            f", below {SAME:.6f}: vectors depend on the other texts of a batch, as those of dynamically quantised graphs do; "
            "take the unquantised graph (--precision int8 quantises it by row), or say --batch-dependent"
        )
    yield "alone and in company", not measured.matters or batch_dependent, said


def _inputs(embedder: Embedder) -> Iterator[tuple[str, Sequence[Prepared]]]:
    if isinstance(embedder, TextEmbedder):
        rows = mixed_rows(embedder, BATCH_COPIES)
        yield "longest text", [max(rows, key=len)]
        yield "full batch", rows
    if not isinstance(embedder, ImageEmbedder):
        return
    pictures = [_picture(mode, size) for mode in MODES for size in SIZES]
    yield "pictures of every mode", embedder.preparation()(pictures)


def _picture(mode: str, size: tuple[int, int]) -> bytes:
    width, height = size
    # Grey and not black, of which a graph without biases makes nothing.
    shades = (GREY + np.add.outer(np.arange(height), np.arange(width))).astype(np.uint8)
    grey = Image.fromarray(shades, "L")
    picture = Image.fromarray(shades.astype(np.uint16) * 256) if mode == "I;16" else grey.convert("RGB").convert(mode)
    file = io.BytesIO()
    picture.save(file, "JPEG" if mode == "CMYK" else "PNG")
    return file.getvalue()


def _run(embedder: Embedder, rows: Sequence[Prepared]) -> str:
    bad = next((row for row in rows if isinstance(row, EmbedserveError)), None)
    if bad is not None:
        raise bad
    name = embedder.artifact.graph.name
    try:
        vectors: Vectors = embedder.embed_rows([row for row in rows if isinstance(row, np.ndarray)])
    except EmbedserveError:
        raise
    except Exception as error:  # ORT and numpy raise many types when a graph does not take a shape
        raise ArtifactError(f"{name} does not run on it: {str(error).splitlines()[0]:.160}") from error
    if not np.isfinite(vectors).all():
        raise ArtifactError(f"{name} gives numbers that are not finite")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if embedder.unit and np.abs(norms - 1).max() > UNIT_TOLERANCE:
        raise ArtifactError(f"{name} gives vectors of length {norms.min():.4f} to {norms.max():.4f} instead of 1")
    longest = max(embedder.tokens(row) for row in rows if isinstance(row, np.ndarray))
    shown = f", up to {longest} tokens" if longest else ""
    return f"{len(rows)} inputs{shown}, vectors of length {norms.min():.4f} to {norms.max():.4f}"
