"""The stages on Ray Data: tasks that read and prepare, a pool of engines that grows with the work, tasks that write."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from deployments.backfill import own_ray_watch
from deployments.backfill.block_engine import BlockEngine
from deployments.backfill.committing import Outcome
from deployments.backfill.executor import Executor, Proof, Stages, prove
from deployments.backfill.expectation import Expectation
from deployments.backfill.job import Machines
from deployments.backfill.ledger import Block
from deployments.backfill.model import Wanted
from deployments.backfill.preparing import Work
from deployments.cluster.local_ray import require_ray_token
from deployments.cluster.start_environment import own_token
from models.errors import JobError

# Of a Ray of the job's own: what is between the stages. When it is full, reading waits.
OBJECTS = 256 << 20
# Blocks that wait at an engine while it computes one: preparing the next takes less time than computing.
WAITING = 3
WRITERS = 2
# Of a task that prepares. No whole number, as an engine has: Ray Data makes one stage of two with equal resources, and an engine
# would wait while its own process prepares.
PREPARER_CPUS = 0.9
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

    def prove(self, wanted: Wanted, expected: Expectation) -> Proof:
        """In a task with an engine's resources."""
        import ray
        from ray.exceptions import RayError

        machines = self._machines
        task = ray.remote(num_cpus=machines.cpus, num_gpus=machines.gpus)(prove)
        try:
            proof: Proof = ray.get(task.remote(wanted, expected, machines.cpus, machines.gpus))
        except RayError as error:
            raise JobError(f"no engine started: {_first_line(error)}") from error
        return proof

    def run(self, works: Sequence[Work], stages: Stages) -> Iterator[Outcome]:
        """Stream the blocks through the stages."""
        from ray.exceptions import RayError

        try:
            for row in _dataset(works, stages, self._machines, self._engine).iter_rows():
                yield Outcome(Block.model_validate_json(row["block"]), row["error"])
        except (RayError, ConnectionError) as error:
            raise JobError(f"Ray stopped working for this job: {_first_line(error)}; {own_ray_watch.AGAIN}") from error


def _dataset(works: Sequence[Work], stages: Stages, machines: Machines, engine: type[BlockEngine]) -> Any:
    import ray.data
    from ray.data import ActorPoolStrategy, TaskPoolStrategy

    class Engine:
        """One of the pool."""

        def __init__(self) -> None:
            self._engine = engine(stages.wanted, stages.expected, machines.cpus, machines.gpus)

        def __call__(self, row: dict[str, Any]) -> Mapping[str, Any]:
            return self._engine(row)  # type: ignore[arg-type]

    def prepare(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from stages.prepare(Work.from_json(row["work"]))  # type: ignore[misc]

    def commit(row: dict[str, Any]) -> dict[str, Any]:
        outcome = stages.commit(row)  # type: ignore[arg-type]
        return {"block": orjson.dumps(outcome.block.model_dump()), "error": outcome.error}

    quiet()
    rows = [{"work": work.to_json()} for work in works]
    least, most = machines.engines
    pool = ActorPoolStrategy(min_size=least, max_size=most, max_tasks_in_flight_per_actor=WAITING)
    return (
        ray.data.from_items(rows, override_num_blocks=len(rows))
        .flat_map(prepare, compute=TaskPoolStrategy(machines.preparers), num_cpus=PREPARER_CPUS)
        .map(Engine, compute=pool, num_cpus=machines.cpus, num_gpus=machines.gpus or None)  # type: ignore[arg-type]
        .map(commit, compute=TaskPoolStrategy(stages.commit.sink.writers), num_cpus=0.5)
    )


def quiet() -> None:
    """Ray Data's settings: each block of rows is a block of its own, and the command itself says how far it is."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.target_max_block_size = 1  # bytes, after which a block ends: with its first row
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)


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
        "num_cpus": machines.engines[1] * machines.cpus + machines.preparers + WRITERS,
        "object_store_memory": OBJECTS,
        "include_dashboard": False,
    }
    try:
        if machines.address is None:
            ray.init(address="local", **own, **common)
        else:
            ray.init(address=machines.address, **common)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise JobError(f"no Ray: {_first_line(error)}") from error
    if machines.address is None:
        own_ray_watch.start()
    try:
        yield RayExecutor(machines, engine)
    finally:
        own_ray_watch.stop()
        ray.shutdown()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
