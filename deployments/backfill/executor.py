"""What runs the stages over the blocks: this process alone, or Ray Data (``ray_executor``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deployments.backfill.block_engine import BlockEngine
from deployments.backfill.committing import Commit, Outcome
from deployments.backfill.expectation import Expectation
from deployments.backfill.job import Machines
from deployments.backfill.preparing import Prepare, Work
from deployments.backfill.proof import Proof


@dataclass(frozen=True)
class Assignment:
    """What is to be done."""

    works: Sequence[Work]
    prepare: Prepare
    expected: Expectation  # of the first engine
    writers: int  # blocks that are written at a time, at most


@dataclass(frozen=True)
class Decision:
    """What is decided by what the first engine shows."""

    expected: Expectation  # of every engine
    commit: Commit


class Executor(ABC):
    """Runs the stages."""

    engines: int = 1  # at most
    computing: int = 1  # of them, until now

    @abstractmethod
    def prove(self, assignment: Assignment) -> Proof:
        """Open the model where it will compute; what the first engine shows. Rows may be read and prepared meanwhile.

        Raises:
            JobError: no engine starts.
        """

    @abstractmethod
    def run(self, decision: Decision) -> Iterator[Outcome]:
        """Do what was assigned; outcomes come in any order.

        Raises:
            JobError: what runs it has ended.
        """


class HereExecutor(Executor):
    """This process, one block after the other: for tests, and to tell what Ray Data adds."""

    def __init__(self, machines: Machines) -> None:
        """Compute on the threads of one engine."""
        self._machines = machines

    def prove(self, assignment: Assignment) -> Proof:
        """In this process."""
        self._assignment = assignment
        self._engine = BlockEngine(assignment.prepare.wanted, assignment.expected, self._machines.cpus, 0)
        return self._engine.proof

    def run(self, decision: Decision) -> Iterator[Outcome]:
        """One block after the other."""
        for work in self._assignment.works:
            for carried in self._assignment.prepare(work):
                yield decision.commit(self._engine(carried))
