"""Where the engines of a job show what they compute, and everybody learns what was decided by it: an actor without a core."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import astuple
from functools import cache
from threading import Event
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deployments.backfill.committing import Commit
    from deployments.backfill.executor import Decision
    from deployments.backfill.expectation import Expectation
    from deployments.backfill.proof import Proof

AGAIN_S = 1.0  # in which a board that was killed knows the decision again


Shown = tuple[Any, ...]  # the fields of a ``Proof``
Sealed = tuple[Any, ...]  # of what a ``Decision`` is made again; empty before there is one


class Board:
    """What the first engine showed, and what was decided by it. It opens neither: what they are made of takes seconds to import.

    Killed, it is started again without either; whoever waits asks anew by itself, and ``BoardHandle.keep`` tells it the decision.
    """

    def __init__(self) -> None:
        """Begin without either."""
        self._proof: Shown = ()
        self._decision: Sealed = ()
        self._shown, self._decided = asyncio.Event(), asyncio.Event()

    async def show(self, proof: Shown) -> Sealed:
        """What an engine showed; the decision, when there is one."""
        if not self._shown.is_set():
            self._proof = proof
            self._shown.set()
        return await self.decision()

    async def proof(self) -> Shown:
        """What the first one showed, when it has."""
        await self._shown.wait()
        return self._proof

    async def decide(self, decision: Sealed) -> None:
        """Let engines and writers go on."""
        self._decision = decision
        self._decided.set()

    async def decision(self) -> Sealed:
        """The decision, when there is one."""
        await self._decided.wait()
        return self._decision


class BoardHandle:
    """The board of a job, for whoever takes part."""

    def __init__(self) -> None:
        """Put it up beside this process, with which it ends: nodes that hold engines may be lost."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        board: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Board)
        self.actor = board.options(scheduling_strategy=here).remote()

    def shown_by(self, proof: Proof) -> Expectation:
        """Show what an engine computes, and wait for what all of them are held to."""
        import ray

        return _expected(ray.get(self.actor.show.remote(astuple(proof))))

    def first(self) -> Any:
        """A reference to what the first engine shows: the fields of its proof."""
        return self.actor.proof.remote()

    def decide(self, decision: Decision) -> Sealed:
        """Let engines and writers go on; what ``keep`` tells."""
        import ray

        sealed = _sealed(decision)
        ray.get(self.actor.decide.remote(sealed))
        return sealed

    def keep(self, sealed: Sealed, ended: Event) -> None:
        """Decide the same again and again until the job ends."""
        import ray
        from ray.exceptions import RayError

        with suppress(RayError):  # there is no Ray any more: the job's own thread learns of it too
            while not ended.wait(AGAIN_S):
                ray.get(self.actor.decide.remote(sealed))


@cache
def commit_of(actor: Any) -> Commit:
    """How a board's job writes blocks; asked for once by each process."""
    import ray

    return _commit(ray.get(actor.decision.remote()))


def _sealed(decision: Decision) -> Sealed:
    expected, commit = decision.expected, decision.commit
    shown = None if expected.golden is None else (expected.golden.tobytes(), expected.golden.shape)
    return (
        (expected.hash, expected.numerics, shown, expected.whose),
        (commit.sink.uri, astuple(commit.stamp), commit.run.storage.uri),
    )


def _expected(sealed: Sealed) -> Expectation:
    import numpy as np

    from deployments.backfill.expectation import Expectation

    found, numerics, shown, whose = sealed[0]
    golden = None if shown is None else np.frombuffer(shown[0], np.float32).reshape(shown[1])
    return Expectation(found, numerics, golden, whose)


def _commit(sealed: Sealed) -> Commit:
    from deployments.backfill.committing import Commit
    from deployments.backfill.ledger import Run
    from deployments.backfill.sinks import open_sink
    from deployments.backfill.sinks.base import Stamp
    from deployments.backfill.storage import Storage

    sink, stamp, notes = sealed[1]
    return Commit(open_sink(sink), Stamp(*stamp), Run(Storage(notes)))
