"""The stages on Ray Data: tasks that read and prepare, a pool of engines that grows with the work, tasks that write."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import orjson

from deployments.backfill.block_engine import BlockEngine
from deployments.backfill.board import AGAIN_S, BoardHandle, commit_of
from deployments.backfill.executor import Assignment, Decision
from deployments.backfill.job import Machines
from deployments.backfill.preparing import Work
from deployments.backfill.proof import Proof
from deployments.backfill.room import lacking, nodes_here
from models.errors import JobError

# Blocks that wait at an engine while it computes one: preparing the next takes less time than computing.
WAITING = 3
WRITERS = 2
# Of a task that prepares. No whole number, as an engine has: Ray Data makes one stage of two with equal resources, and an engine
# would wait while its own process prepares.
PREPARER_CPUS = 0.9
SAY_S = 30.0  # without an engine, until the next line says why: a cluster may be about to grow
LOOK_S = 0.5  # between two looks at whether the stages still go on


class Pipeline:
    """The stages, begun: blocks are prepared while engines load, and wait for what is decided."""

    def __init__(self, assignment: Assignment, machines: Machines, engine: type[BlockEngine]) -> None:
        """Begin."""
        self._board, self._machines = BoardHandle(), machines
        self._rows = iter(_dataset(assignment, machines, engine, self._board).iter_rows())
        self._first: Future[Any] = Future()
        self._ended = threading.Event()
        self._keeper: threading.Thread | None = None
        threading.Thread(target=self._take_first, name="first-row", daemon=True).start()

    def proof(self) -> Proof:
        """What the first engine shows.

        Raises:
            RayError: none starts.
        """
        import ray

        shown, say_at = self._board.first(), time.monotonic() + SAY_S
        while not ray.wait([shown], timeout=LOOK_S)[0]:
            if self._first.done() and self._first.result() is None:
                raise JobError("no engine started, and nothing says why")
            if time.monotonic() > say_at:
                why = lacking(self._machines, nodes_here()) or "the nodes are busy, or load the model"
                print(f"no engine yet: {why}", file=sys.stderr, flush=True)
                say_at += SAY_S
        return Proof(*ray.get(shown))

    def rows(self, decision: Decision) -> Iterator[Mapping[str, Any]]:
        """What comes out of them, in any order.

        Raises:
            RayError: they ended.
        """
        told = self._board.decide(decision)
        self._keeper = threading.Thread(target=self._board.keep, args=(told, self._ended), name="board", daemon=True)
        self._keeper.start()
        if (first := self._first.result()) is not None:
            yield first
            yield from self._rows

    def end(self) -> None:
        """Before Ray ends: nobody calls it any more."""
        self._ended.set()
        if self._keeper is not None:
            self._keeper.join(AGAIN_S)

    def _take_first(self) -> None:
        try:
            self._first.set_result(next(self._rows, None))
        except BaseException as error:  # told to whoever waits for the row
            self._first.set_exception(error)


def _dataset(assignment: Assignment, machines: Machines, engine: type[BlockEngine], board: BoardHandle) -> Any:
    import ray.data
    from ray.data import ActorPoolStrategy, TaskPoolStrategy

    prepare, expected = assignment.prepare, assignment.expected
    wanted = prepare.wanted  # by itself: an engine need not import what reads sources

    class Engine:
        """One of the pool."""

        def __init__(self) -> None:
            self._engine = engine(wanted, expected, machines.cpus, machines.gpus)
            self._engine.hold_to(board.shown_by(self._engine.proof))
            self._name = uuid4().hex

        def __call__(self, row: dict[str, Any]) -> Mapping[str, Any]:
            return {**self._engine(row), "engine": self._name}  # type: ignore[arg-type]

    def prepared(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from prepare(Work.from_json(row["work"]))  # type: ignore[misc]

    def committed(row: dict[str, Any]) -> dict[str, Any]:
        outcome = commit_of(board.actor)(row)  # type: ignore[arg-type]
        return {"block": orjson.dumps(outcome.block.model_dump()), "error": outcome.error, "engine": row["engine"]}

    quiet()
    rows = [{"work": work.to_json()} for work in assignment.works]
    least, most = machines.engines
    pool = ActorPoolStrategy(min_size=least, max_size=most, max_tasks_in_flight_per_actor=WAITING)
    return (
        ray.data.from_items(rows, override_num_blocks=len(rows))
        .flat_map(prepared, compute=TaskPoolStrategy(machines.preparers), num_cpus=PREPARER_CPUS)
        .map(Engine, compute=pool, num_cpus=machines.cpus, num_gpus=machines.gpus or None)  # type: ignore[arg-type]
        .map(committed, compute=TaskPoolStrategy(assignment.writers), num_cpus=0.5)
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
