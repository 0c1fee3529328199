"""Whether vectors are what their rows say: all are looked at, and a sample is computed again."""

from __future__ import annotations

import random
from collections.abc import Iterator

from deployments.backfill.audit_comparison import compare
from deployments.backfill.audit_findings import Audit
from deployments.backfill.audit_sample import Sampled, chosen_rows
from deployments.backfill.job import Rows
from deployments.backfill.ledger import Ledger
from deployments.backfill.resuming import source_of
from deployments.backfill.sinks import open_sink
from deployments.backfill.storage import Storage
from models.catalog.artifact import Artifact
from models.catalog.catalog import Catalog
from models.catalog.store import kept_artifact
from models.errors import JobError
from models.redaction import redacted


def noted_source(sink: str, state: str | None = None) -> Rows:
    """What the last backfill into a sink embedded.

    Args:
        sink: where vectors are.
        state: the folder of the backfill's notes, if they are not beside the sink.

    Raises:
        JobError: there are no notes.
    """
    place = state or open_sink(sink).state
    last = Ledger(Storage(place)).last()
    if last is None:
        raise JobError(
            f"no notes of a backfill in {redacted(place)} say what {redacted(sink)} was made of: name them with --state, or the "
            "source with --from, --id and --column"
        )
    return source_of(last[2], sink)


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
