"""Rows of all batches that are in an engine at once, run together: whoever has a thread takes the next full run, whosever rows it has."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from models.engine.buckets import Buckets
from models.engine.types import Vectors

Work = Callable[[list[Any]], Vectors]  # rows of one bucket to their vectors, float32 [n, d]


class Batch:
    """The rows of one caller."""

    __slots__ = ("done", "error", "left", "rows", "vectors", "work")

    def __init__(self, rows: Sequence[Any], work: Work) -> None:
        """Rows that are to be computed by ``work``."""
        self.rows = rows
        self.work = work
        self.left = len(rows)
        self.vectors: Vectors | None = None  # [n, d], once some are known
        self.error: Exception | None = None
        self.done = threading.Event()

    def fill(self, places: list[int], vectors: Vectors) -> None:
        """Take the vectors of some rows."""
        if self.vectors is None:
            self.vectors = np.empty((len(self.rows), vectors.shape[1]), vectors.dtype)
        self.vectors[places] = vectors
        self.left -= len(places)
        if self.left == 0:
            self.done.set()

    def fail(self, error: Exception) -> None:
        """End without vectors."""
        self.error = error
        self.done.set()


Waiting = tuple[Batch, int]  # and the place of a row in it
Outcome = tuple[Batch, list[int], Vectors | Exception]  # of a run, for each batch in it


class RowPool:
    """Runs of an engine of fixed shapes.

    Batches alone are cut into 32, 24 and 2 rows, say, and end one after the other; together nearly every run is full, and no thread
    waits for a batch's last run. A row's bits depend on its bucket of length alone, so that its company changes nothing.
    """

    def __init__(self, buckets: Buckets, threads: int) -> None:
        """Let ``threads`` runs compute at a time."""
        self._buckets = buckets
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "runs")
        self._changed = threading.Condition()
        self._waiting: dict[int, deque[Waiting]] = {}  # by length, in the order of their turns
        self._workers = 0  # in the pool
        self._computing = 0  # runs, by them or by callers

    def embed(self, rows: Sequence[Any], lengths: Sequence[int], work: Work) -> Vectors:
        """The vectors of a caller's rows, float32 [n, d], in order.

        Args:
            rows: at least one.
            lengths: of each, as the engine pads it.
            work: computes rows of equal length.
        """
        with self._changed:
            if here := self._is_one_run(lengths):
                self._computing += 1
        if here:  # to wake another thread takes 0.03 ms
            try:
                return work(list(rows))
            finally:
                with self._changed:
                    self._computing -= 1
                    self._changed.notify_all()
        batch = Batch(rows, work)
        self._add(batch, lengths)
        batch.done.wait()
        if batch.error is not None:
            raise batch.error
        assert batch.vectors is not None
        return batch.vectors

    def _is_one_run(self, lengths: Sequence[int]) -> bool:
        """Whether rows are all of a run that can begin at once."""
        free = self._threads - self._computing
        if self._waiting or free < 1 or len(set(lengths)) > 1:
            return False
        return len(self._buckets.parts(len(lengths), lengths[0], free)) == 1

    def _add(self, batch: Batch, lengths: Sequence[int]) -> None:
        with self._changed:
            for place, length in enumerate(lengths):
                self._waiting.setdefault(length, deque()).append((batch, place))
            more = min(self._threads - self._workers, len(lengths))
            self._workers += more
        for _ in range(more):
            self._pool.submit(self._drain)

    def _drain(self) -> None:
        """Compute runs until nothing waits."""
        while (run := self._next()) is not None:
            outcome = _compute(run)
            with self._changed:
                self._computing -= 1
                for batch, places, found in outcome:
                    if isinstance(found, Exception):
                        self._give_up(batch, found)
                    elif batch.error is None:
                        batch.fill(places, found)
                self._changed.notify_all()

    def _next(self) -> list[Waiting] | None:
        """The next run, once there is a thread for it; None where this worker is done."""
        with self._changed:
            while self._waiting and self._computing >= self._threads:  # callers compute
                self._changed.wait()
            if not self._waiting:
                self._workers -= 1
                return None
            self._computing += 1
            return self._take(self._threads - self._computing + 1)

    def _take(self, free: int) -> list[Waiting]:
        """A run of the length whose turn it is, so large that the free threads have some too; the other lengths come before it then."""
        length, queue = next(iter(self._waiting.items()))
        run = [queue.popleft() for _ in range(self._buckets.parts(len(queue), length, free)[0])]
        del self._waiting[length]
        if queue:
            self._waiting[length] = queue
        return run

    def _give_up(self, batch: Batch, error: Exception) -> None:
        batch.fail(error)
        for length, queue in list(self._waiting.items()):
            self._waiting[length] = deque(one for one in queue if one[0] is not batch)
            if not self._waiting[length]:
                del self._waiting[length]


def _compute(run: list[Waiting]) -> list[Outcome]:
    """Run rows together; where that fails, those of each batch by themselves, so that one batch fails for none but its own."""
    by_batch: dict[Batch, list[int]] = {}
    for batch, place in run:
        by_batch.setdefault(batch, []).append(place)
    first = run[0][0]
    try:
        vectors = first.work([batch.rows[place] for batch, place in run])
        if len(vectors) != len(run):
            raise ValueError(f"the engine gave {len(vectors)} vectors for {len(run)} rows")
    except Exception as error:  # the bindings raise a different type for each of ORT's status codes
        if len(by_batch) == 1:
            return [(first, by_batch[first], error)]
        return [_compute([(batch, place) for place in places])[0] for batch, places in by_batch.items()]
    outcome: list[Outcome] = []
    start = 0
    for batch, places in by_batch.items():  # their rows stand in the run one batch after the other
        outcome.append((batch, places, vectors[start : start + len(places)]))
        start += len(places)
    return outcome
