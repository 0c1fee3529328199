"""A backfill from its first look at the source to its last block."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from filelock import FileLock, Timeout

from deployments.backfill import live_service
from deployments.backfill.committing import Commit, Outcome
from deployments.backfill.executor import Executor, Proof, Stages
from deployments.backfill.expectation import Expectation
from deployments.backfill.job import Job, Machines
from deployments.backfill.ledger import Block, Ledger, Manifest, Run
from deployments.backfill.model import Wanted, artifact_of
from deployments.backfill.planning import Plan, StoredDigests, plan
from deployments.backfill.preparing import Prepare
from deployments.backfill.resuming import block_rows, chosen_run
from deployments.backfill.sinks import open_sink
from deployments.backfill.sinks.base import Sink, Stamp
from deployments.backfill.sources import open_source
from deployments.backfill.sources.base import Source
from deployments.backfill.storage import Storage
from models.catalog.artifact import Artifact
from models.catalog.store import is_synthetic
from models.errors import JobError

Connect = Callable[[Machines], AbstractContextManager[Executor]]


class Progress(Protocol):
    """Who follows a job."""

    def begin(self, total: int, done: int, bad: int, engines: int) -> None:
        """It has ``total`` rows, of which ``done`` were done before."""

    def note(self, block: Block) -> None:
        """One more block is in the sink."""


@dataclass(frozen=True)
class Begun:
    """What a job knows before its first row."""

    job: Job
    source: Source
    artifact: Artifact
    sink: Sink
    plan: Plan
    run: Run
    number: int
    manifest: Manifest | None  # of a run that goes on

    @property
    def wanted(self) -> Wanted:
        """The model, by its hash."""
        return Wanted(self.job.vectors.reference, self.job.rules.profile, self.artifact.hash)


def backfill(job: Job, connect: Connect, progress: Progress) -> dict[str, Any]:
    """Embed a source into a sink, or go on with it; the summary.

    Args:
        job: what was asked for.
        connect: makes the executor; entered when everything else is known to be right.
        progress: is told of every block.

    Raises:
        EmbedserveError: it cannot begin or go on; what is in the sink stays, and the same job goes on from there.
    """
    with ExitStack() as stack:
        sink = open_sink(job.vectors.sink)
        notes = Storage(job.vectors.state or sink.state)
        stack.enter_context(_alone(notes))
        begun = _begin(job, sink, Ledger(notes))
        done = begun.run.blocks() if begun.manifest else {}
        if begun.manifest and begun.run.ended:
            return summary(begun, begun.manifest, done, Timing())
        expected = _expected(begun)
        executor = stack.enter_context(connect(job.machines))
        proof = executor.prove(begun.wanted, expected)
        manifest = begun.manifest or _manifest(begun, proof)
        stamp = _stamp(begun, manifest)
        sink.begin(stamp)
        if begun.manifest is None:
            begun.run.begin(manifest)
        stages = Stages(
            Prepare(begun.source, begun.wanted),
            begun.wanted,
            proof.expectation(begun.wanted),
            Commit(sink, stamp, begun.run),
        )
        return _follow(begun, manifest, done, executor, stages, progress)


def _begin(job: Job, sink: Sink, ledger: Ledger) -> Begun:
    """Look at the source, the model and the sink's notes, and refuse what does not go together."""
    source = open_source(job.rows)
    artifact = artifact_of(Wanted(job.vectors.reference, job.rules.profile))
    files = source.fingerprint()
    number, run, manifest = chosen_run(job, ledger, artifact, files)
    rows = block_rows(job, manifest, artifact.spec.modality.name)
    changed_only = job.rules.only_changed and (manifest is None or not run.ended)
    stored = StoredDigests(sink, artifact.hash) if changed_only else None
    planned = plan(source, rows, stored, pictures=artifact.spec.modality.name == "image")
    return Begun(job, source, artifact, sink, planned, run, number, manifest)


def _expected(begun: Begun) -> Expectation:
    """What the live service computes, or what a run that goes on was begun with."""
    numerics = begun.manifest.numerics if begun.manifest else None
    if url := begun.job.rules.expect_live:
        live = live_service.expectation(url, begun.artifact.spec)
        if numerics is not None and live.numerics != numerics:
            raise JobError(
                f"{url} serves numerics {live.numerics}, and this sink was begun with {numerics}: name another sink"
            )
        return live
    return Expectation(begun.artifact.hash, numerics)


def _manifest(begun: Begun, proof: Proof) -> Manifest:
    proof.expectation(begun.wanted)  # raises what the engine refused
    job, spec = begun.job, begun.artifact.spec
    return Manifest(
        run=begun.number,
        reference=spec.reference,
        hash=begun.artifact.hash,
        numerics=proof.numerics,
        weights="synthetic" if is_synthetic(begun.artifact) else "pretrained",
        dimensions=spec.dimensions,
        stored_as=job.vectors.stored_as,
        source=job.rows.source,
        id=job.rows.id,
        column=job.rows.column,
        files=begun.source.fingerprint(),
        block_rows=block_rows(job, None, spec.modality.name),
        blocks=len(begun.plan.slices),
        rows=begun.plan.rows,
    )


def _stamp(begun: Begun, manifest: Manifest) -> Stamp:
    return Stamp(
        run=begun.number,
        reference=manifest.reference,
        hash=manifest.hash,
        numerics=manifest.numerics,
        dimensions=manifest.dimensions,
        stored_as=begun.job.vectors.stored_as,
        string_ids=begun.source.string_ids,
    )


@dataclass
class Timing:
    """How long this start of a job took."""

    seconds: float = 0.0
    engines: int = 1


def _follow(
    begun: Begun, manifest: Manifest, done: dict[int, Block], executor: Executor, stages: Stages, progress: Progress
) -> dict[str, Any]:
    """Run what is not done, and end the run."""
    before = set(done)
    start = time.perf_counter()
    progress.begin(manifest.rows, _rows(done), _bad(done), executor.engines)
    works = begun.plan.works(before)
    for outcome in executor.run(works, stages) if works else ():
        _require(outcome)
        done[outcome.block.number] = outcome.block
        progress.note(outcome.block)
        _require_few(begun, done)
    missing = manifest.blocks - len(done)
    if missing:
        raise JobError(f"{missing} blocks did not come back; the same command computes them")
    begun.sink.end(stages.commit.stamp)
    result = summary(begun, manifest, done, Timing(time.perf_counter() - start, executor.engines), before)
    begun.run.end(result)
    return result


def _require(outcome: Outcome) -> None:
    if outcome.error:
        raise JobError(outcome.error)


def _require_few(begun: Begun, done: dict[int, Block]) -> None:
    most, bad = begun.job.rules.max_bad, _bad(done)
    if most is not None and bad > most:
        where = begun.run.write_bad(done)
        raise JobError(f"{bad} rows are bad and --max-bad allows {most}; {where} says which and why")


def summary(
    begun: Begun, manifest: Manifest, done: dict[int, Block], timing: Timing, before: set[int] | None = None
) -> dict[str, Any]:
    """What a job ends with, as JSON has it."""
    before = set(done) if before is None else before
    now = [block for number, block in done.items() if number not in before]
    seconds = timing.seconds
    rows = sum(block.rows for block in now)
    busy = sum(block.engine_s for block in now)
    return {
        "model": manifest.reference,
        "hash": manifest.hash,
        "numerics": manifest.numerics,
        "weights": manifest.weights,
        "source": manifest.source,
        "sink": begun.job.vectors.sink,
        "run": begun.number,
        "rows": manifest.rows,
        "embedded": sum(block.rows for block in done.values()),
        "kept": sum(block.kept for block in done.values()),
        "bad": _bad(done),
        "bad_file": begun.run.write_bad(done),
        "blocks": manifest.blocks,
        "this_start": {
            "blocks": len(now),
            "embedded": rows,
            "seconds": round(seconds, 3),
            "rows_per_second": round(rows / seconds, 2) if seconds else 0.0,
            "engine_utilisation": round(busy / seconds / timing.engines, 3) if seconds else 0.0,
        },
    }


def _rows(done: dict[int, Block]) -> int:
    return sum(block.rows + block.kept + len(block.bad) for block in done.values())


def _bad(done: dict[int, Block]) -> int:
    return sum(len(block.bad) for block in done.values())


def _alone(notes: Storage) -> AbstractContextManager[object]:
    """One job at a time writes to a sink; the kernel frees the lock when its process ends, however that comes.

    Raises:
        JobError: another one does.
    """
    folder = notes.local
    if folder is None:
        return nullcontext()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "job.lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise JobError(f"another backfill writes there now: {folder}/job.lock is held") from error
    except OSError as error:
        raise JobError(f"{folder} cannot be written: {error.strerror}") from error
    return lock
