"""Runs the stages of ``ray_stages`` on the cluster that a job names, or on a Ray of its own."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import Any

from deployments.backfill import own_ray_watch
from deployments.backfill.block_engine import BlockEngine
from deployments.backfill.committing import Outcome
from deployments.backfill.executor import Assignment, Decision, Executor
from deployments.backfill.expectation import Expectation
from deployments.backfill.job import Machines
from deployments.backfill.ledger import Block
from deployments.backfill.model import Wanted
from deployments.backfill.proof import Proof
from deployments.backfill.ray_stages import WRITERS, Pipeline
from deployments.backfill.room import lacking, nodes_here
from deployments.cluster.ray_token import own_token, require_ray_token
from deployments.serve_internals import lean_data, lean_node
from deployments.serve_internals.seams import SEAMS
from models.errors import JobError

# Of a Ray of the job's own: what is between the stages. When it is full, reading waits.
OBJECTS = 256 << 20
EXCEPTION = re.compile(
    r"([A-Za-z_]\w*\.)*[A-Za-z_]\w*(Error|Exception|Interrupt)\b"
)  # how a line of a traceback names one
WRAPPED = "UserCodeException"  # of Ray Data, around each error of a stage
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # warnings of Ray's core that are no news to whoever runs a job
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class RayExecutor(Executor):
    """Ray Data on a Ray that is connected."""

    def __init__(self, machines: Machines, engine: type[BlockEngine] = BlockEngine) -> None:
        """Use the machines of the connected Ray as far as the job may; ``bench`` has an engine that only waits."""
        self._machines, self._engine = machines, engine
        self.engines = machines.engines[1]
        self._pipeline: Pipeline | None = None

    def prove(self, assignment: Assignment) -> Proof:
        """Start the stages; what the first engine of the pool shows, or without work an engine for this alone."""
        import ray
        from ray.exceptions import RayError

        machines = self._machines
        if machines.address is None and (why := lacking(machines, nodes_here())):
            raise JobError(why)
        try:
            if assignment.works:
                self._pipeline = Pipeline(assignment, machines, self._engine)
                return self._pipeline.proof()
            task = ray.remote(num_cpus=machines.cpus, num_gpus=machines.gpus)(_alone)
            proof: Proof = ray.get(task.remote(self._engine, assignment.prepare.wanted, assignment.expected, machines))
        except RayError as error:
            raise JobError(f"no engine started: {_reason(error)}") from error
        return proof

    def run(self, decision: Decision) -> Iterator[Outcome]:
        """Stream the blocks through the stages."""
        from ray.exceptions import RayError

        seen: set[str] = set()
        try:
            for row in self._pipeline.rows(decision) if self._pipeline else ():
                seen.add(row["engine"])
                self.computing = len(seen)
                yield Outcome(Block.model_validate_json(row["block"]), row["error"])
        except (RayError, ConnectionError) as error:
            raise JobError(f"Ray stopped working for this job: {_reason(error)}; {own_ray_watch.AGAIN}") from error

    def end(self) -> None:
        """Before Ray ends."""
        if self._pipeline is not None:
            self._pipeline.end()


def _alone(engine: type[BlockEngine], wanted: Wanted, expected: Expectation, machines: Machines) -> Proof:
    return engine(wanted, expected, machines.cpus, machines.gpus).proof


@contextmanager
def connected(machines: Machines, engine: type[BlockEngine] = BlockEngine) -> Iterator[RayExecutor]:
    """A Ray for a job: the cluster that it names, or one of its own on this machine that ends with it.

    Raises:
        ConfigError: the environment would open Ray to the network.
        JobError: there is none.
    """
    require_ray_token()
    os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})
    os.environ.update(own_token(os.environ))
    import ray

    common: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    own: dict[str, Any] = {
        "num_cpus": machines.engines[1] * machines.cpus + machines.preparers + min(WRITERS, machines.engines[1]),
        "object_store_memory": OBJECTS,
        "include_dashboard": False,
    }
    alone = machines.address is None
    over = own_ray_watch.start() if alone else threading.Event()
    meanwhile = threading.Thread(target=import_module, args=("ray.data",), name="import")
    meanwhile.start()
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with lean_node.working_node(lean=alone and SEAMS.on("lean_node")):
            ray.init(**({"address": "local", **own} if alone else {"address": machines.address}), **common)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        over.set()
        raise JobError(f"no Ray: {_reason(error)}") from error
    finally:
        meanwhile.join()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, terminate)  # Ray's own prints a stack and aborts
    executor = RayExecutor(machines, engine)
    try:
        with lean_data.few_actors() if alone else nullcontext():
            yield executor
            executor.end()
    finally:
        executor.end()
        over.set()
        ray.shutdown()


def _reason(error: BaseException) -> str:
    """What went wrong, out of the many lines that Ray makes of it: the innermost exception of a task, with its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if EXCEPTION.match(line) and WRAPPED not in line]
    return (named or lines or [type(error).__name__])[-1]
