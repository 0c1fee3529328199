"""Rows at which an engine fails although it works, or hangs: they are found, and the others get their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deployments.contract.items import ItemError
from deployments.encoder.engine_pool import EnginePool
from deployments.observability.logging import logger
from models.embedder import probe
from models.engine.types import Vectors
from models.errors import EmbedserveError, EngineError, EngineTimeoutError, UnavailableError
from models.modalities.base import Embedder

FAILS = ItemError("the model fails at this input", "engine_failed")


async def embed_all_but(
    engine: EnginePool, embedder: Embedder, rows: Sequence[Any], *, alone: bool = False
) -> tuple[Vectors, dict[int, ItemError]]:
    """Embed rows.

    Args:
        engine: to run on.
        embedder: computes them.
        rows: to embed.
        alone: while nothing else runs.

    Returns:
        Unit vectors, float32 [n, d], and errors by row of those at which the engine fails each time, and of one that it
        hangs at alone; their vectors are zero.

    Raises:
        EngineTimeoutError: the engine does not come back. Which row is why, or whether another run is, shows only where each
            has an engine to itself, which this one is not any more.
        UnavailableError: the engine does not embed what it always embeds either, or hangs since an earlier run.
    """
    try:
        attempt = engine.attempt_alone if alone else engine.attempt
        return await attempt(embedder.embed_rows, rows), {}
    except EngineTimeoutError as error:
        if len(rows) > 1 or not alone:
            await engine.hold()
            raise
        return np.zeros((1, embedder.artifact.spec.dimensions), np.float32), {0: given_up(error)}
    except EngineError as error:
        try:
            await engine.attempt(probe, embedder)
        except EmbedserveError:
            await engine.hold()
            raise error from None
    except UnavailableError:
        await engine.hold()
        raise
    vectors = np.zeros((len(rows), embedder.artifact.spec.dimensions), np.float32)
    failed: dict[int, ItemError] = {}
    await _search(engine, embedder, rows, range(len(rows)), (vectors, failed))
    logger.error("the engine works, and fails at %d of %d inputs of a batch", len(failed), len(rows))
    return vectors, failed


async def _search(
    engine: EnginePool,
    embedder: Embedder,
    rows: Sequence[Any],
    among: range,
    found: tuple[Vectors, dict[int, ItemError]],
) -> None:
    """Embed one half of some rows after the other, or the only one again."""
    middle = max(len(among) // 2, 1)
    for part in (among[:middle], among[middle:]):
        if not part:
            continue
        try:
            found[0][part.start : part.stop] = await engine.attempt(embedder.embed_rows, [rows[i] for i in part])
        except EngineTimeoutError:
            raise
        except EngineError:
            if len(part) > 1:
                await _search(engine, embedder, rows, part, found)
            else:
                found[1][part.start] = FAILS


def given_up(error: EngineTimeoutError) -> ItemError:
    """What an input comes to that an engine hung at while it had nothing else: it is tried nowhere else."""
    return ItemError(f"{error} at this input, which was given up", "too_slow", limit=True)
