"""Whether vectors are what their rows say: all are looked at, and a sample is computed again."""

from __future__ import annotations

import random
from collections.abc import Iterator

from deployments.backfill.audit_comparison import compare
from deployments.backfill.audit_findings import Audit
from deployments.backfill.audit_sample import Sampled, chosen_rows
from deployments.backfill.job import Rows
from models.catalog.artifact import Artifact
from models.catalog.catalog import Catalog
from models.catalog.store import kept_artifact


def audit(sink: str, source: Rows, sample: int, seed: int = 0) -> Audit:
    """Look at every vector of a sink, and compute a sample again.

    Args:
        sink: where vectors are.
        source: the rows that they were made of.
        sample: how many rows are computed again.
        seed: of the choice.

    Raises:
        JobError: sink or source cannot be read.
    """
    found = Audit()
    known = {artifact.hash: artifact for artifact in artifacts()}
    chosen = list(chosen_rows(sink, known, sample, random.Random(seed), found))
    found.sampled = len(chosen)
    by_artifact: dict[str, list[Sampled]] = {}
    for row in chosen:
        by_artifact.setdefault(row.hash, []).append(row)
    for hash_, rows in by_artifact.items():
        compare(source, known[hash_], rows, known, found)
    return found


def artifacts() -> Iterator[Artifact]:
    """Every version of the catalogue whose files are on this machine."""
    for spec in Catalog.load().specs():
        artifact = kept_artifact(spec)
        if artifact is not None:
            yield artifact
