"""Whether a text's vector depends on the company that it is computed in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.catalog.artifact import Artifact
from models.catalog.download import Reporter
from models.catalog.model_spec import ModelSpec
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.engine.types import Vectors
from models.fidelity import cosines
from models.inputs.token_ids import pad
from models.modalities.base import Row
from models.modalities.text import TextEmbedder

SAME = 1 - 1e-6  # cosine: what kernels for one row and for many may differ by, where they are not the same
SHARES = (0.02, 1.0, 0.3, 0.05, 0.6, 0.1, 0.9, 0.03)  # lengths of a batch's texts, of the longest that the model takes
SEED = 0


@dataclass(frozen=True)
class Company:
    """What was measured."""

    lowest: float  # cosine between the vector of a text alone and among others
    equal: bool  # to the last bit

    @property
    def matters(self) -> bool:
        """Whether a text has several vectors."""
        return self.lowest < SAME


def mixed_rows(embedder: TextEmbedder, copies: int = 1) -> list[Row]:
    """Token ids of texts of all lengths, short and long by turns; the longest is as long as the model takes."""
    longest = embedder.tokenizer.max_length
    generator = np.random.Generator(np.random.PCG64(SEED))
    lengths = [max(3, min(longest, round(longest * share))) for share in SHARES] * copies
    words = [generator.integers(0, embedder.tokenizer.vocabulary, length - 2) for length in lengths]
    return [embedder.tokenizer.wrap([int(i) for i in ids]) for ids in words]


def company(embedder: Embedder) -> Company | None:
    """Embed the same texts alone, and in one run with others; None where rows do not run padded together."""
    if not isinstance(embedder, TextEmbedder):
        return None
    rows = mixed_rows(embedder)
    alone: Vectors = np.concatenate([embedder.embed_rows([row]) for row in rows])
    together = embedder.run_padded(*pad(rows))
    lengths = np.linalg.norm(alone, axis=1) * np.linalg.norm(together, axis=1)
    lowest = float((cosines(alone, together) / np.maximum(lengths, 1e-12)).min())
    return Company(lowest, bool(np.array_equal(alone, together)))


def pull_measured(spec: ModelSpec, reporter: Reporter, *, allow: bool) -> tuple[ModelSpec, Artifact]:
    """Build a model that is being added, and note in its entry whether company matters for its vectors.

    Args:
        spec: its entry.
        reporter: receives the progress.
        allow: whether its owner takes a model whose vectors depend on company.
    """
    artifact = pull(spec, allow_synthetic=False, reporter=reporter)
    if not allow:
        return spec, artifact
    measured = company(open_embedder(artifact))
    if measured is None or not measured.matters:
        return spec, artifact
    labelled = spec.model_copy(update={"config": {**spec.config, "batch_dependent": True}})
    return labelled, pull(labelled, allow_synthetic=False, reporter=reporter)
