"""Rows at which an engine fails although it works: they are found, and the others get their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deployments.encoder.engine_pool import EnginePool
from deployments.observability.logging import logger
from models.embedder import probe
from models.engine.types import Vectors
from models.errors import EmbedserveError, EngineError
from models.modalities.base import Embedder


async def embed_all_but(engine: EnginePool, embedder: Embedder, rows: Sequence[Any]) -> tuple[Vectors, set[int]]:
    """Embed rows.

    Returns:
        Unit vectors, float32 [n, d], and the indices of rows at which the engine fails each time; their vectors are zero.

    Raises:
        UnavailableError: the engine does not embed what it always embeds either, or does not answer.
    """
    try:
        return await engine.attempt(embedder.embed_rows, rows), set()
    except EngineError as error:
        try:
            await engine.attempt(probe, embedder)
        except EmbedserveError:
            await engine.hold()
            raise error from None
    vectors = np.zeros((len(rows), embedder.artifact.spec.dimensions), np.float32)
    failed: set[int] = set()
    await _search(engine, embedder, rows, range(len(rows)), (vectors, failed))
    logger.error("the engine works, and fails at %d of %d inputs of a batch", len(failed), len(rows))
    return vectors, failed


async def _search(
    engine: EnginePool, embedder: Embedder, rows: Sequence[Any], among: range, found: tuple[Vectors, set[int]]
) -> None:
    """Embed one half of some rows after the other, or the only one again."""
    middle = max(len(among) // 2, 1)
    for part in (among[:middle], among[middle:]):
        if not part:
            continue
        try:
            found[0][part.start : part.stop] = await engine.attempt(embedder.embed_rows, [rows[i] for i in part])
        except EngineError:
            if len(part) > 1:
                await _search(engine, embedder, rows, part, found)
            else:
                found[1].add(part.start)
