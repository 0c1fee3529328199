"""Whether a job goes on with what is in its sink, begins anew beside it, or may do neither."""

from __future__ import annotations

from collections.abc import Mapping

from deployments.backfill.identity import Identity
from deployments.backfill.job import Job, Rows
from deployments.backfill.ledger import Ledger, Manifest, Run
from deployments.backfill.postgres.server import Server
from deployments.backfill.sinks.base import Sink
from deployments.backfill.uris import absolute
from models.errors import JobError
from models.redaction import HIDDEN, redacted

BLOCK_ROWS = {"text": 1024, "image": 64}  # about a second of an engine's work, and 10 MB of pixels
OTHERS = 256
SHOWN = 3


def block_rows(job: Job, manifest: Manifest | None, modality: str) -> int:
    """Rows of one block. A run keeps those that it was begun with.

    Raises:
        JobError: the job asks for others.
    """
    asked = job.rules.block_rows
    if manifest is None:
        return asked or BLOCK_ROWS.get(modality, OTHERS)
    if asked is not None and asked != manifest.block_rows:
        raise JobError(f"--block-rows is {asked}, and this job was begun with {manifest.block_rows}; leave it out")
    return manifest.block_rows


def chosen_run(
    job: Job, ledger: Ledger, identity: Identity, files: Mapping[str, str], sink: Sink
) -> tuple[int, Run, Manifest | None]:
    """The run to go on with and its manifest, or a new one and None.

    Raises:
        JobError: the sink was begun with something else; the message says with what.
    """
    last = ledger.last()
    if last is None:
        return new_run(0, ledger, sink)
    number, run, manifest = last
    differences = [*_of_job(job, manifest, identity), *_of_files(manifest, files)]
    if not differences:
        return number, run, manifest
    if manifest.stored_as != job.vectors.stored_as:
        raise JobError(
            f"{redacted(job.vectors.sink)} holds {manifest.stored_as}; one sink has one type of vectors: name another sink"
        )
    if not job.rules.only_changed:
        raise JobError(
            f"{redacted(job.vectors.sink)} was begun with something else: {'; '.join(differences)}. --only-changed embeds what is new or "
            "different, beside what is there; or name another sink"
        )
    return new_run(number, ledger, sink)


def new_run(last: int, ledger: Ledger, sink: Sink) -> tuple[int, Run, None]:
    """A run after the last one that is noted, and after those of whose rows the sink has more than notes."""
    number = max(last, sink.last_run()) + 1
    return number, ledger.run(number), None


def described(job: Job) -> str:
    """The source as notes keep it: from any folder, without passwords, and with the query of a database."""
    source = redacted(absolute(job.rows.source))
    return f"{source} {job.rows.query}" if job.rows.query else source


def source_of(manifest: Manifest, sink: str) -> Rows:
    """The rows that a run embedded, by its notes.

    Raises:
        JobError: notes hold no names of users nor passwords, without which the source cannot be read.
    """
    source, _, query = manifest.source.partition(" ") if Server.names(manifest.source) else (manifest.source, "", "")
    if HIDDEN in source:
        raise JobError(f"the notes of {redacted(sink)} name {source} without its user: say --from, --id and --column")
    return Rows(source, manifest.id, manifest.column, query, None, manifest.prompt)


def _of_job(job: Job, manifest: Manifest, identity: Identity) -> list[str]:
    pairs = (
        ("the model was", manifest.reference, identity.spec.reference),
        ("its content hash was", manifest.hash, identity.hash),
        ("vectors were stored as", manifest.stored_as, job.vectors.stored_as),
        ("the source was", absolute(manifest.source), described(job)),
        ("--id was", manifest.id, job.rows.id),
        ("--column was", manifest.column, job.rows.column),
        ("--prompt was", manifest.prompt, job.rows.prompt),
    )
    return [f"{what} {before!r} and is {now!r}" for what, before, now in pairs if before != now]


def _of_files(manifest: Manifest, files: Mapping[str, str]) -> list[str]:
    names = sorted(manifest.files.keys() | files.keys())
    changes = [
        f"{name} {'is new' if name not in manifest.files else 'is gone' if name not in files else 'changed'}"
        for name in names
        if manifest.files.get(name) != files.get(name)
    ]
    more = len(changes) - SHOWN
    return [*changes[:SHOWN], *([f"and {more} files more changed"] if more > 0 else [])]
