"""A backfill from its first look at the source to its last block."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

from deployments.backfill import live_service
from deployments.backfill.begun import Begun, begin, require_still_there
from deployments.backfill.committing import Commit, Outcome
from deployments.backfill.executor import Assignment, Decision, Executor
from deployments.backfill.expectation import Expectation
from deployments.backfill.identity import Identity, on_this_machine
from deployments.backfill.job import Job, Machines
from deployments.backfill.ledger import Block, Ledger
from deployments.backfill.model import Wanted
from deployments.backfill.named_prompt import require_here, require_served
from deployments.backfill.preparing import Prepare
from deployments.backfill.sink_lock import alone
from deployments.backfill.sinks import open_sink
from deployments.backfill.storage import Storage
from deployments.backfill.summary import Timing, bad, rows_done, summary
from deployments.backfill.uris import absolute
from models.catalog.catalog import Catalog
from models.errors import ArtifactError, JobError

Connect = Callable[[Machines], AbstractContextManager[Executor]]


class Progress(Protocol):
    """Who follows a job."""

    def begin(self, total: int, done: int, bad: int, engines: int) -> None:
        """It has ``total`` rows, of which ``done`` were done before."""

    def note(self, block: Block, engines: int) -> None:
        """One more block is in the sink; ``engines`` have computed until now."""


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
        sink.require(job.vectors.stored_as)
        notes = Storage(absolute(job.vectors.state) if job.vectors.state else sink.state)
        identity, live = _identified(job)
        stack.enter_context(alone(notes))
        begun = begin(job, identity, live, sink, Ledger(notes))
        done = begun.run.blocks() if begun.manifest else {}
        require_still_there(begun, done)
        _require_few(begun, done)
        if begun.manifest and begun.run.ended:
            return summary(begun, begun.manifest, done, Timing())
        prepare = Prepare(begun.source, begun.wanted, job.rows.fetch, job.rows.prompt)
        works, expected = begun.plan.works(set(done)), begun.expected
        executor = stack.enter_context(connect(job.machines))
        return _run(
            begun, done, executor, Assignment(works, prepare, expected, min(sink.writers, executor.engines)), progress
        )


def _run(
    begun: Begun, done: dict[int, Block], executor: Executor, assignment: Assignment, progress: Progress
) -> dict[str, Any]:
    """Do what is not done, and end the run."""
    before, start = set(done), time.perf_counter()
    proof = executor.prove(assignment)
    manifest = begun.manifest or begun.manifest_of(proof)
    stamp = begun.stamp(manifest)
    begun.sink.begin(stamp)
    if begun.manifest is None:
        begun.run.begin(manifest)
    decision = Decision(proof.expectation(begun.wanted), Commit(begun.sink, stamp, begun.run))
    progress.begin(manifest.rows, rows_done(done), bad(done), executor.engines)
    if assignment.works:
        _follow(begun, done, executor, decision, progress)
    missing = manifest.blocks - len(done)
    if missing:
        raise JobError(f"{missing} blocks did not come back; the same command computes them")
    begun.sink.end(stamp)
    result = summary(begun, manifest, done, Timing(time.perf_counter() - start, executor.computing), before)
    begun.run.end(result)
    return result


def _identified(job: Job) -> tuple[Identity, Expectation | None]:
    """What computes the vectors, and what the live service says of it where one was named."""
    reference, rules = job.vectors.reference, job.rules
    url = rules.via_service or rules.expect_live
    live = live_service.look(url, Catalog.load().find(reference)) if url else None
    if rules.via_service and live is not None:
        if rules.profile == "production" and live.identity.synthetic:
            raise ArtifactError(
                f"{url} serves {reference} with synthetic weights, which the production profile refuses"
            )
        require_served(job.rows.prompt, live.identity.spec, live.prompts)
        return live.identity, live.expectation
    expected = live.expectation if live else None
    identity = on_this_machine(reference, rules.profile, expected)
    require_here(job.rows.prompt, identity.spec, Wanted(identity.artifact, rules.profile, identity.hash))
    return identity, expected


def _follow(begun: Begun, done: dict[int, Block], executor: Executor, decision: Decision, progress: Progress) -> None:
    """Note what becomes of each block until all are done."""
    for outcome in executor.run(decision):
        _require(outcome, begun)
        done[outcome.block.number] = outcome.block
        progress.note(outcome.block, executor.computing)
        _require_few(begun, done)


def _require(outcome: Outcome, begun: Begun) -> None:
    if outcome.error:
        raise JobError(outcome.error)
    if not begun.run.has_noted(outcome.block):
        raise JobError(
            f"a node wrote a block whose note is not in {begun.run.storage.uri} of this machine: its disk is another one. Name a sink "
            "(and --state) that all nodes share, such as s3://…"
        )


def _require_few(begun: Begun, done: dict[int, Block]) -> None:
    most, found = begun.job.rules.max_bad, bad(done)
    if most is not None and found > most:
        where = begun.run.write_bad(done)
        raise JobError(f"{found} rows are bad and --max-bad allows {most}; {where} says which and why")
