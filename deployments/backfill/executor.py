"""What runs the stages over the blocks: this process alone, or Ray Data (``ray_executor``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deployments.backfill.block_engine import BlockEngine
from deployments.backfill.committing import Commit, Outcome
from deployments.backfill.expectation import Expectation
from deployments.backfill.job import Machines
from deployments.backfill.model import Wanted, numerics_of, open_model
from deployments.backfill.preparing import Prepare, Work
from models.errors import EmbedserveError, JobError


@dataclass(frozen=True)
class Stages:
    """Everything that is done with a block."""

    prepare: Prepare
    wanted: Wanted
    expected: Expectation
    commit: Commit


@dataclass(frozen=True)
class Proof:
    """What an engine showed before the first row."""

    error: str = ""
    numerics: str = ""
    vectors: bytes = b""
    dimensions: int = 1

    def expectation(self, wanted: Wanted) -> Expectation:
        """What every engine of the job must show too.

        Raises:
            JobError: the engine was refused.
        """
        if self.error:
            raise JobError(self.error)
        golden = np.frombuffer(self.vectors, np.float32).reshape(-1, self.dimensions)
        return Expectation(wanted.hash, self.numerics, golden, "the job's first engine has")


def prove(wanted: Wanted, expected: Expectation, cpus: int, gpus: float) -> Proof:
    """Open the model where the engines will run, and compare it with what is expected."""
    try:
        embedder = open_model(wanted, cpus, gpus)
        numerics = numerics_of(embedder)
        vectors = expected.require(embedder, numerics)
    except EmbedserveError as error:
        return Proof(str(error))
    return Proof("", numerics, vectors.tobytes(), embedder.artifact.spec.dimensions)


class Executor(ABC):
    """Runs the stages."""

    engines: int = 1  # at most

    @abstractmethod
    def prove(self, wanted: Wanted, expected: Expectation) -> Proof:
        """``prove``, where the engines will run."""

    @abstractmethod
    def run(self, works: Sequence[Work], stages: Stages) -> Iterator[Outcome]:
        """Do the work; outcomes come in any order.

        Raises:
            JobError: what runs it has ended.
        """


class HereExecutor(Executor):
    """This process, one block after the other: for tests, and to tell what Ray Data adds."""

    def __init__(self, machines: Machines) -> None:
        """Compute on the threads of one engine."""
        self._machines = machines

    def prove(self, wanted: Wanted, expected: Expectation) -> Proof:
        """In this process."""
        return prove(wanted, expected, self._machines.cpus, 0)

    def run(self, works: Sequence[Work], stages: Stages) -> Iterator[Outcome]:
        """One block after the other."""
        engine = BlockEngine(stages.wanted, stages.expected, self._machines.cpus, 0)
        for work in works:
            for carried in stages.prepare(work):
                yield stages.commit(engine(carried))
