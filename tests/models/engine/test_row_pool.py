"""Batches of several threads share runs: each gets its own vectors, runs are full, and one that fails fails alone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.engine.buckets import cut_text_buckets
from models.engine.row_pool import RowPool
from models.engine.types import Vectors

BUCKETS = cut_text_buckets(256)
THREADS = 2
Row = tuple[int, int]  # its length and a number


class Engine:
    """Computes rows one run at a time for each thread, and notes what it was given; it waits while its gate is shut."""

    def __init__(self) -> None:
        self.runs: list[list[Row]] = []
        self.open = threading.Event()
        self.open.set()
        self.began = threading.Semaphore(0)
        self.most = self._now = 0
        self._lock = threading.Lock()

    def work(self, rows: list[Row]) -> Vectors:
        with self._lock:
            self.runs.append(rows)
            self._now += 1
            self.most = max(self.most, self._now)
        self.began.release()
        self.open.wait()
        with self._lock:
            self._now -= 1
        if any(number < 0 for _, number in rows):
            raise ValueError(f"{sorted(rows)[0]} fails")
        return np.array(rows, np.float32)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def pool() -> RowPool:
    return RowPool(BUCKETS, THREADS)


def embed(pool: RowPool, engine: Engine, rows: Sequence[Row]) -> Vectors:
    return pool.embed(rows, [length for length, _ in rows], engine.work)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what other threads bring about."""
    while not condition():
        time.sleep(0.001)


def many(count: int, first: int = 0, length: int = 16) -> list[Row]:
    return [(length, first + i) for i in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_each_of_many_callers_gets_the_vectors_of_its_rows_in_order(engine: Engine, threads: int) -> None:
    pool = RowPool(BUCKETS, threads)
    draw = random.Random(threads)
    batches = [
        [(draw.choice((16, 32, 256)), draw.randrange(10**6)) for _ in range(draw.randint(1, 80))] for _ in range(200)
    ]
    with ThreadPoolExecutor(20) as callers:
        found = list(callers.map(lambda rows: embed(pool, engine, rows), batches))
    for rows, vectors in zip(batches, found, strict=True):
        assert vectors.tolist() == [list(row) for row in rows]
    assert engine.most <= threads
    assert sum(map(len, engine.runs)) == sum(map(len, batches))
    for run in engine.runs:
        assert len({length for length, _ in run}) == 1
        assert BUCKETS.parts(len(run), run[0][0]) == [len(run)], "it fills one run"


def test_rows_of_many_callers_fill_runs(engine: Engine) -> None:
    pool = RowPool(BUCKETS, 1)
    engine.open.clear()
    with ThreadPoolExecutor(9) as callers:
        busy = callers.submit(embed, pool, engine, many(1, length=256))
        engine.began.acquire()
        waiting = [callers.submit(embed, pool, engine, many(6, 10 * caller)) for caller in range(8)]
        until(lambda: sum(map(len, pool._waiting.values())) == 48)
        engine.open.set()
        for caller, future in enumerate(waiting):
            assert future.result().tolist() == [list(row) for row in many(6, 10 * caller)]
        assert busy.result() is not None
    assert [len(run) for run in engine.runs] == [1, 32, 16], "alone they were eight"


def test_a_caller_alone_has_all_threads(engine: Engine, pool: RowPool) -> None:
    engine.open.clear()
    with ThreadPoolExecutor(1) as caller:
        found = caller.submit(embed, pool, engine, many(16))
        for _ in range(THREADS):
            assert engine.began.acquire(timeout=60)
        engine.open.set()
        assert len(found.result()) == 16
    assert sorted(map(len, engine.runs)) == [8, 8]


def test_a_batch_that_fails_fails_alone(engine: Engine, pool: RowPool) -> None:
    engine.open.clear()
    with ThreadPoolExecutor(5) as callers:
        busy = [callers.submit(embed, pool, engine, many(1, length=256)) for _ in range(THREADS)]
        for _ in busy:
            engine.began.acquire()
        bad = callers.submit(embed, pool, engine, [*many(5), (16, -1), *many(40, 50, length=32)])
        good = [callers.submit(embed, pool, engine, many(5, first)) for first in (100, 200)]
        until(lambda: sum(map(len, pool._waiting.values())) == 56)
        engine.open.set()
        with pytest.raises(ValueError, match="fails"):
            bad.result()
        assert [future.result().tolist() for future in good] == [
            [list(row) for row in many(5, first)] for first in (100, 200)
        ]
        assert all(future.result() is not None for future in busy)
    assert embed(pool, engine, many(3)).tolist() == [list(row) for row in many(3)], "and the pool goes on"
    assert not pool._waiting
    until(lambda: pool._workers == pool._computing == 0)


def test_an_engine_that_loses_vectors_fails_and_nobody_waits_for_ever(pool: RowPool) -> None:
    with pytest.raises(ValueError, match="vectors for"):
        pool.embed(many(16), [16] * 16, lambda rows: np.array(rows[1:], np.float32))
