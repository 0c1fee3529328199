"""How much of a catalogue stands in a sink at which artifact."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from deployments.backfill.duplicate_ids import Keys, keys
from deployments.backfill.job import Rows
from deployments.backfill.ledger import Ledger
from deployments.backfill.planning import PLAN_ROWS
from deployments.backfill.sinks import open_sink
from deployments.backfill.sources import open_source
from deployments.backfill.storage import Storage
from models.catalog.catalog import Catalog
from models.errors import JobError
from models.redaction import redacted

Standing = tuple[str, str, str]  # model, hash, numerics class
ITSELF = "the ids in the sink"  # what it is compared with where nothing says how many there should be


@dataclass(frozen=True)
class Coverage:
    """What was counted; rows are ids, each counted once."""

    sink: str
    hash: str  # of the artifact that was asked for
    total: int  # rows of the catalogue
    covered: int  # those that have a vector of that artifact
    against: str  # what the catalogue is
    standings: dict[Standing, int]

    @property
    def percent(self) -> float:
        """The share that is covered, 0 to 100."""
        return 100 * self.covered / self.total if self.total else 0.0

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "sink": redacted(self.sink),
            "hash": self.hash,
            "rows": self.total,
            "covered": self.covered,
            "percent": round(self.percent, 4),
            "against": self.against,
            "standings": [
                {"model": model, "hash": hash_, "numerics": numerics, "rows": rows}
                for (model, hash_, numerics), rows in sorted(self.standings.items(), key=str)
            ],
        }


def coverage(sink: str, hash: str, catalogue: Rows | None = None, state: str | None = None) -> Coverage:  # noqa: A002 - as the column is called
    """Count the rows of a sink.

    Args:
        sink: where vectors are.
        hash: of the artifact that rows should stand at.
        catalogue: whose rows should be there; None: as many as the source of the last backfill had, or all that are there.
        state: the folder of the backfill's notes, if they are not beside the sink.

    Raises:
        JobError: there is no such sink, or no such source.
    """
    place = open_sink(sink)
    found: dict[Standing, list[Keys]] = defaultdict(list)
    for table in place.read():
        labels = list(zip(*(table.column(name).to_pylist() for name in ("model", "hash", "numerics")), strict=True))
        ids = keys(table.column("id").to_pylist())
        for label in set(labels):
            found[label].append(ids[np.array([one == label for one in labels])])
    if not found:
        raise JobError(f"{redacted(sink)} holds no rows of a backfill")
    distinct = {label: np.unique(np.concatenate(parts)) for label, parts in found.items()}
    empty: Keys = np.empty(0, np.uint64)
    at = np.unique(np.concatenate([empty, *(ids for label, ids in distinct.items() if label[1] == hash)]))
    standings = {label: len(ids) for label, ids in distinct.items()}
    if catalogue is not None:
        wanted = _of_source(catalogue)
        return Coverage(sink, hash, len(wanted), int(np.isin(wanted, at).sum()), catalogue.source, standings)
    total, covered, against = _of_notes(Ledger(Storage(state or place.state)), hash, len(at))
    if not total:
        total, covered, against = (
            len(np.unique(np.concatenate(list(distinct.values())))),
            len(at),
            ITSELF,
        )
    return Coverage(sink, hash, total, covered, against, standings)


def _of_source(catalogue: Rows) -> Keys:
    """The keys of a source's ids."""
    source = open_source(catalogue)
    parts = [keys([one for one in planned.ids if one is not None]) for planned in source.plan(PLAN_ROWS, pictures=None)]
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.uint64)


def _of_notes(ledger: Ledger, hash: str, there: int) -> tuple[int, int, str]:  # noqa: A002 - as the column is called
    """Rows of the source as the last run saw it, and those of them that the last run of this artifact did."""
    last = ledger.last()
    if last is None:
        return 0, 0, ""
    number, _, manifest = last
    for one in range(number, 0, -1):
        run = ledger.run(one)
        begun = run.manifest()
        if begun is not None and begun.hash == hash:
            done = sum(block.rows + block.kept for block in run.blocks().values())
            return manifest.rows, min(done, there), f"{manifest.source}, as the last backfill saw it"
    return manifest.rows, 0, f"{manifest.source}, as the last backfill saw it"


def hash_of(reference: str, url: str | None) -> str:
    """The content hash of a version: as a running service serves it, or as this machine has it.

    Raises:
        EmbedserveError: neither has it.
    """
    if url is None:
        from deployments.backfill.model import Wanted, artifact_of

        return artifact_of(Wanted(reference, "development")).hash
    from deployments.operator.served import served_versions

    entries = {entry["id"]: entry for entry in served_versions(url)}
    Catalog.load().find(reference)
    found = entries.get(reference, {}).get("hash")
    if not found:
        raise JobError(f"{url} serves no {reference}; it serves: {', '.join(sorted(entries)) or 'nothing'}")
    return str(found)


def require(asked: str, reference: str, hash: str, state: str | None = None) -> Coverage:  # noqa: A002 - as the column is called
    """Refuse to go on before a sink is covered.

    Args:
        asked: ``SINK:PERCENT``, such as ``s3://vectors/products:99.9``.
        reference: the version that should be there.
        hash: of its artifact.
        state: the folder of the backfill's notes, if they are not beside the sink.

    Raises:
        JobError: less is covered than asked for, nothing says how many rows there should be, or the words mean nothing.
    """
    sink, _, percent = asked.rpartition(":")
    try:
        least = float(percent)
    except ValueError:
        least = -1.0
    if not sink or not 0 <= least <= 100:
        raise JobError(f"--require-coverage takes SINK:PERCENT, such as vectors/:99.9, not {asked!r}")
    found = coverage(sink, hash, state=state)
    if found.against == ITSELF:
        raise JobError(
            f"nothing says how many rows {redacted(sink)} should have: there are no notes of a backfill in "
            f"{redacted(state or open_sink(sink).state)}; --coverage-state names the folder that `embedserve backfill --state` named"
        )
    if found.percent < least:
        raise JobError(
            f"{found.covered} of {found.total} rows ({found.percent:.2f} %) of {found.against} stand at {reference} (hash "
            f"{hash[:12]}) in {redacted(sink)}, and {least:g} % are required; `embedserve backfill {reference} --only-changed` embeds the rest"
        )
    return found
