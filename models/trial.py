"""Whether one version may stand in for another on this machine: ``python -m models.trial FASTER@VERSION EXACT@VERSION``.

A program of its own, so that a provider which crashes on an unknown processor ends nothing else. Exit status 0: it may. 1: the
last line says why not.
"""

from __future__ import annotations

import sys

import numpy as np

from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.engine.types import Vectors
from models.errors import EmbedserveError
from models.modalities.base import Row

CLOSEST, CLOSE = 0.9999, 0.9998  # cosines to the exact version's vectors: on average, and of each input


def rows_of(embedder: Embedder) -> list[Row]:
    """Inputs that differ, in the shapes that real ones have."""
    return [embedder.probe_row(), *(batch[0] for batch in embedder.warm_up_batches())]


def difference(faster: Embedder, exact: Embedder) -> str | None:
    """Why ``faster`` may not stand in for ``exact``; None where it may."""
    rows = rows_of(exact)
    alone = np.concatenate([faster.embed_rows([row]) for row in rows])
    together = faster.embed_rows([*rows, *rows[::-1]])
    if not _same(together, np.concatenate([alone, alone[::-1]])):
        return "a vector's bits depend on what is computed beside it"
    cosines = (exact.embed_rows(rows).astype(np.float64) * alone).sum(axis=1)
    if not (cosines.mean() >= CLOSEST and cosines.min() >= CLOSE):  # not a number is not close
        return f"its vectors have cosines of {cosines.min():.5f} to {cosines.max():.5f} to those of the exact version"
    return None


def _same(one: Vectors, other: Vectors) -> bool:
    return bool(np.array_equal(one, other))


def main(faster: str, exact: str) -> int:
    """Compare two versions; says what is wrong."""
    try:
        catalog = Catalog.load()
        first, second = (
            open_embedder(pull(catalog.find(reference), allow_synthetic=True)) for reference in (faster, exact)
        )
        why = difference(first, second)
    except EmbedserveError as error:
        why = str(error)
    if why is not None:
        print(why)
    return int(why is not None)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
