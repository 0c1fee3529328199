"""What a job knows before its first row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deployments.backfill.expectation import Expectation
from deployments.backfill.identity import Identity
from deployments.backfill.job import Job
from deployments.backfill.ledger import Block, Ledger, Manifest, Run
from deployments.backfill.model import Wanted
from deployments.backfill.planning import Plan, StoredDigests, plan
from deployments.backfill.proof import Proof
from deployments.backfill.resuming import block_rows, chosen_run, described, new_run
from deployments.backfill.sinks.base import Sink, Stamp
from deployments.backfill.sources import open_source
from deployments.backfill.sources.base import Source
from deployments.backfill.storage import would_list
from models.errors import JobError
from models.redaction import redacted


@dataclass(frozen=True)
class Begun:
    """All of it."""

    job: Job
    source: Source
    files: Mapping[str, str]
    identity: Identity
    sink: Sink
    plan: Plan
    run: Run
    number: int
    manifest: Manifest | None  # of a run that goes on
    live: Expectation | None  # of a service that was asked

    @property
    def wanted(self) -> Wanted:
        """The model, by its hash."""
        return Wanted(self.identity.artifact, self.job.rules.profile, self.identity.hash)

    @property
    def expected(self) -> Expectation:
        """What the live service computes, or what a run that goes on was begun with.

        Raises:
            JobError: the two differ.
        """
        numerics = self.manifest.numerics if self.manifest else None
        if self.live is None:
            return Expectation(self.identity.hash, numerics)
        if numerics is not None and self.live.numerics != numerics:
            raise JobError(
                f"{self.live.whose} numerics {self.live.numerics}, and this sink was begun with {numerics}: name another sink"
            )
        return self.live

    def manifest_of(self, proof: Proof) -> Manifest:
        """The manifest of a new run.

        Raises:
            JobError: the engine was refused.
        """
        proof.expectation(self.wanted)
        job, spec = self.job, self.identity.spec
        return Manifest(
            run=self.number,
            reference=spec.reference,
            hash=self.identity.hash,
            numerics=proof.numerics,
            weights="synthetic" if self.identity.synthetic else "pretrained",
            dimensions=spec.dimensions,
            stored_as=job.vectors.stored_as,
            source=described(job),
            id=job.rows.id,
            column=job.rows.column,
            files=dict(self.files),
            block_rows=block_rows(job, None, spec.modality.name),
            blocks=len(self.plan.slices),
            rows=self.plan.rows,
            prompt=job.rows.prompt,
        )

    def stamp(self, manifest: Manifest) -> Stamp:
        """What every row says of itself."""
        return Stamp(
            run=self.number,
            reference=manifest.reference,
            hash=manifest.hash,
            numerics=manifest.numerics,
            dimensions=manifest.dimensions,
            stored_as=self.job.vectors.stored_as,
            string_ids=self.source.string_ids,
        )


def begin(job: Job, identity: Identity, live: Expectation | None, sink: Sink, ledger: Ledger) -> Begun:
    """Look at the source and the sink's notes, and refuse what does not go together.

    Raises:
        JobError: something does not.
    """
    source = open_source(job.rows)
    pictures = identity.spec.modality.name == "image"
    files = source.fingerprint()
    require_apart(source, sink, ledger)
    number, run, manifest = chosen_run(job, ledger, identity, files, sink)
    if manifest and job.rules.only_changed and _may_lack_rows(sink, run, manifest, source, pictures=pictures):
        number, run, manifest = new_run(number, ledger, sink)
    rows = block_rows(job, manifest, identity.spec.modality.name)
    changed_only = job.rules.only_changed and (manifest is None or not run.ended)
    stored = StoredDigests(sink, identity.hash) if changed_only else None
    planned = plan(source, rows, stored, pictures=pictures)
    return Begun(job, source, files, identity, sink, planned, run, number, manifest, live)


def require_still_there(begun: Begun, done: Mapping[int, Block]) -> None:
    """Refuse to go on by notes about rows that are gone.

    Raises:
        JobError: the sink has fewer rows than were noted.
    """
    noted = _noted(done)
    if noted and (there := begun.sink.count(begun.identity.hash)) < noted:
        raise JobError(
            f"{redacted(begun.sink.uri)} has {there} rows of this artifact and the notes in {begun.run.storage.uri} say that "
            f"{noted} were written: somebody removed some. --only-changed embeds them again"
        )


def require_apart(source: Source, sink: Sink, ledger: Ledger) -> None:
    """Refuse a source whose folder would hold what the job writes: the next start would read it as rows.

    Raises:
        JobError: it would.
    """
    written = [(sink.files(), "the sink"), (ledger.run(1).bad_file, "the folder of the notes")]
    for name, what in written if source.suffixes else ():
        if name is not None and would_list(source.uri, name):
            raise JobError(
                f"{what} of this job lies in {source.uri}, whose files are read as rows: name one outside, or a glob that leaves it out"
            )


def _may_lack_rows(sink: Sink, run: Run, manifest: Manifest, source: Source, *, pictures: bool) -> bool:
    """Whether rows of a run that goes together with the job are gone, or pictures may be others under the same names."""
    unseen = pictures and not source.fingerprints_pictures
    return (unseen and run.ended) or sink.count(manifest.hash) < _noted(run.blocks())


def _noted(done: Mapping[int, Block]) -> int:
    """How many rows a sink has by the notes of a run."""
    return sum(block.rows + block.kept for block in done.values())
