"""Inputs of one modality → vectors: preprocessing and engine put together, without a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.catalog.artifact import Artifact
from models.engine.engine import BATCH_TOKENS, Engine, Vectors
from models.engine.session import EngineOptions
from models.errors import ArtifactError
from models.inputs.image import Pixels, decode
from models.inputs.image_header import ImageLimits
from models.inputs.text import Ids, TextTokenizer, pad

WARM_TEXTS = ((1, 8), (1, 512), (8, 32), (32, 16))  # inputs × tokens
WARM_IMAGES = (1, 4)
WARM_TOKEN = 100  # any id that every vocabulary has


class TextEmbedder:
    """Text → unit vectors."""

    def __init__(self, artifact: Artifact, options: EngineOptions | None = None) -> None:
        """Load the artifact's graph and tokenizer.

        Raises:
            ArtifactError: either does not load, or the graph is not a text graph.
        """
        if artifact.tokenizer is None:
            raise ArtifactError(f"{artifact.graph.name} has no tokenizer beside it")
        config = artifact.spec.config
        self.artifact = artifact
        self.engine = Engine(
            artifact.graph, options, pooling=config.get("pooling", "mean"), longest=config["max_sequence_length"]
        )
        _require_kind(self.engine, "text", artifact.graph)
        self.tokenizer = TextTokenizer(
            artifact.tokenizer, config["max_sequence_length"], lower_case=config.get("do_lower_case")
        )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, float32 [n, d], in order."""
        return self.embed_ids(self.tokenizer.encode(texts))

    def embed_ids(self, rows: Sequence[Ids]) -> Vectors:
        """Unit vectors of token ids, float32 [n, d], in order.

        Rows run in batches of similar length, so that little padding is computed.
        """
        vectors = np.empty((len(rows), self.artifact.spec.dimensions), np.float32)
        lengths = self.engine.padded([len(row) for row in rows])
        for indices in batches_by_length(lengths, self.engine.batch_tokens):
            vectors[indices] = self.engine.run_text(*pad([rows[i] for i in indices]))
        return vectors


class ImageEmbedder:
    """Encoded images → unit vectors."""

    def __init__(self, artifact: Artifact, options: EngineOptions | None = None) -> None:
        """Load the artifact's graph.

        Raises:
            ArtifactError: it does not load, or is not an image graph.
        """
        self.artifact = artifact
        self.size: int = artifact.spec.config["image_size"]
        self.shrink_margin: int = artifact.spec.config.get("shrink_margin") or 0
        self.engine = Engine(artifact.graph, options)
        _require_kind(self.engine, "image", artifact.graph)

    def embed(self, images: Sequence[bytes], limits: ImageLimits | None = None) -> Vectors:
        """Unit vectors of encoded images, float32 [n, d], in order.

        Raises:
            InputError: an image does not decode.
        """
        pixels = [decode(image, self.size, limits, self.shrink_margin) for image in images]
        return self.embed_pixels(np.stack(pixels))

    def embed_pixels(self, pixels: Pixels) -> Vectors:
        """Unit vectors of uint8 pixels [n, size, size, 3], float32 [n, d], in order."""
        size = self.engine.batch_images
        parts = [self.engine.run_image(pixels[i : i + size]) for i in range(0, len(pixels), size)]
        return np.concatenate(parts)


Embedder = TextEmbedder | ImageEmbedder


def open_embedder(artifact: Artifact, options: EngineOptions | None = None) -> Embedder:
    """Load an artifact of either modality.

    Raises:
        ArtifactError: it does not load, or yields vectors of another size than the catalogue says.
    """
    embedder: Embedder
    embedder = TextEmbedder(artifact, options) if artifact.spec.type == "text" else ImageEmbedder(artifact, options)
    probe(embedder)
    return embedder


def probe(embedder: Embedder) -> Vectors:
    """Embed one fixed input and check the result; the proof that a model works.

    Returns:
        float32 [1, d].

    Raises:
        ArtifactError: wrong dimensions, not finite, or not of unit length.
    """
    name, dimensions = embedder.artifact.graph.name, embedder.artifact.spec.dimensions
    try:
        vector = _probe_vector(embedder)
    except ArtifactError:
        raise
    except Exception as error:  # ORT and numpy raise many types when a graph is not what it says
        raise ArtifactError(f"{name} loads and does not embed: {str(error).splitlines()[0]}") from error
    if vector.shape != (1, dimensions):
        raise ArtifactError(f"{name} gives vectors of {vector.shape[-1]} dimensions, the catalogue says {dimensions}")
    if not np.isfinite(vector).all():
        raise ArtifactError(f"{name} gives vectors that are not finite")
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if abs(norm - 1) > 1e-3:
        raise ArtifactError(f"{name} gives vectors of length {norm:.4f} instead of 1")
    return vector


def _probe_vector(embedder: Embedder) -> Vectors:
    if isinstance(embedder, TextEmbedder):
        return embedder.engine.run_text(*pad(embedder.tokenizer.encode(["hello world"])))
    ramp = np.arange(embedder.size * embedder.size * 3, dtype=np.uint32) % 251
    pixels = ramp.astype(np.uint8).reshape(1, embedder.size, embedder.size, 3)
    return embedder.engine.run_image(pixels)


def warm_up(embedder: Embedder) -> None:
    """Run the shapes of batch that traffic brings, so that the first requests find memory and threads in place.

    Raises:
        ArtifactError: a shape does not run, or gives numbers that are not finite.
    """
    try:
        embedder.engine.warm_up()
        for vectors in _warm_vectors(embedder):
            if not np.isfinite(vectors).all():
                raise ArtifactError(f"{embedder.artifact.graph.name} gives vectors that are not finite")
    except ArtifactError:
        raise
    except Exception as error:  # as for the probe
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{embedder.artifact.graph.name} does not embed a batch: {reason}") from error


def _warm_vectors(embedder: Embedder) -> Iterator[Vectors]:
    if isinstance(embedder, TextEmbedder):
        for count, length in WARM_TEXTS:
            row = np.full(min(length, embedder.tokenizer.max_length), WARM_TOKEN, np.int32)
            yield embedder.embed_ids([row] * count)
    else:
        for count in WARM_IMAGES:
            yield embedder.embed_pixels(np.zeros((count, embedder.size, embedder.size, 3), np.uint8))


def _require_kind(engine: Engine, kind: Any, path: Path) -> None:
    if not engine.options.lazy and engine.kind != kind:
        raise ArtifactError(f"{path.name} is a graph for {engine.kind}, the catalogue says type: {kind}")


def padding(lengths: Sequence[int]) -> float:
    """The part, from 0 to 1, of what rows of these lengths run as together that is padding."""
    batches = batches_by_length(lengths, BATCH_TOKENS)
    return 1 - sum(lengths) / sum(lengths[batch[-1]] * len(batch) for batch in batches)


def batches_by_length(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Split rows into batches of similar length.

    Args:
        lengths: tokens of each row.
        budget: padded tokens that a batch may hold; a single longer row is a batch of its own.

    Returns:
        Row indices of each batch. A batch is closed when padding would exceed an eighth of it, or its budget is full.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        longest = lengths[index]
        padded = longest * (len(current) + 1)
        full = padded > budget
        wasteful = len(current) >= 4 and (padded - tokens - longest) * 8 > padded
        if current and (full or wasteful):
            batches.append(current)
            current, tokens = [], 0
        current.append(index)
        tokens += longest
    if current:
        batches.append(current)
    return batches
