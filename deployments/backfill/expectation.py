"""What an engine must be before it computes a row: the artifact, the numerics class, and vectors that it must give."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from models.engine.types import Vectors
from models.errors import ArtifactError
from models.modalities.base import Embedder, Item

TEXTS = (
    "hello world",
    "wireless noise-cancelling headphones, black, 30 hours of battery",
    "A waterproof jacket for hiking in the mountains: taped seams, two pockets, and a hood that fits over a helmet. "
    * 8,
    "größe 42, 100% Baumwolle – 防水ジャケット",
)
SIDES = ((224, 224), (300, 200), (97, 251))


@dataclass(frozen=True)
class Expectation:
    """What is expected; None where nothing is."""

    hash: str | None = None
    numerics: str | None = None
    golden: Vectors | None = None  # of ``golden_items``, float32 [n, d]
    whose: str = "the job was begun with"

    def require(self, embedder: Embedder, numerics: str) -> Vectors:
        """Compare an engine with it; the vectors of its golden items.

        Raises:
            ArtifactError: it is another one; the message says in what.
        """
        spec, found = embedder.artifact.spec, embedder.artifact.hash
        self._same_space(spec.name, found, numerics)
        vectors = embedder.embed_items(golden_items(spec.modality.name))
        self.compare(spec.name, found, numerics, vectors)
        return vectors

    def compare(self, name: str, found: str, numerics: str, vectors: Vectors) -> None:
        """Compare with it what an engine showed.

        Args:
            name: of the model.
            found: the hash of its artifact.
            numerics: its class.
            vectors: of ``golden_items``, float32 [n, d].

        Raises:
            ArtifactError: it is another one; the message says in what.
        """
        self._same_space(name, found, numerics)
        if self.golden is not None and vectors.tobytes() != self.golden.tobytes():
            differ = int((vectors != self.golden).any(axis=1).sum())
            raise ArtifactError(
                f"{differ} of {len(vectors)} golden vectors differ in bits from those that {self.whose}, although hash and "
                "numerics class are the same; nothing was embedded"
            )

    def _same_space(self, name: str, found: str, numerics: str) -> None:
        if self.hash is not None and found != self.hash:
            raise ArtifactError(
                f"{name} has content hash {found} here, and {self.whose} {self.hash}, of another artifact. A service has one "
                "under the same name after a swap, or by precision: auto (EMBEDSERVE_PRECISION=fp32 keeps a local start from it)"
            )
        if self.numerics is not None and numerics != self.numerics:
            raise ArtifactError(
                f"{name} would be computed here as {numerics}, and {self.whose} {self.numerics}: vectors of the two differ in "
                "bits. Run the job on nodes with the same processors and versions"
            )


def golden_items(modality: str) -> list[Item]:
    """Inputs whose vectors two engines are compared by."""
    if modality == "text":
        return list(TEXTS)
    from PIL import Image

    items: list[Item] = []
    for width, height in SIDES:
        ramp = (np.arange(height * width * 3, dtype=np.uint32) * 7 % 251).astype(np.uint8).reshape(height, width, 3)
        for form in ("PNG", "JPEG"):
            buffer = io.BytesIO()
            Image.fromarray(ramp).save(buffer, form)
            items.append(buffer.getvalue())
    return items
