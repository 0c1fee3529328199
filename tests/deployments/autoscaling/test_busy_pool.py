from __future__ import annotations

import threading

import pytest

from deployments.autoscaling.busy_pool import BusyPool
from tests.deployments.autoscaling.clock import Clock


def held_job(pool: BusyPool) -> threading.Event:
    """A job that runs, and the event that ends it."""
    started, end = threading.Event(), threading.Event()

    def job() -> None:
        started.set()
        end.wait()

    pool.submit(job)
    started.wait()
    return end


@pytest.mark.parametrize(("threads", "expected"), [(1, 0.75), (2, 0.375)], ids=["one thread", "one of two threads"])
def test_a_pool_knows_how_long_its_threads_worked(clock: Clock, threads: int, expected: float) -> None:
    with BusyPool(threads, "test", clock) as pool:
        clock.pass_(1)
        end = held_job(pool)
        clock.pass_(3)
        end.set()
    assert pool.busy() == pytest.approx(expected)
    clock.pass_(1)
    assert pool.busy() == 0


def test_threads_that_work_together_are_busy_when_one_is(clock: Clock) -> None:
    with BusyPool(2, "test", clock, together=True) as pool:
        clock.pass_(1)
        first = held_job(pool)
        clock.pass_(1)
        second = held_job(pool)
        clock.pass_(1)
        assert pool.busy() == pytest.approx(2 / 3)
        clock.pass_(1)
        first.set()
        second.set()
        pool.shutdown(wait=True)
        clock.pass_(1)
        assert pool.busy() == 0.5


def test_a_job_that_still_runs_counts_and_counts_once(clock: Clock) -> None:
    with BusyPool(1, "test", clock) as pool:
        end = held_job(pool)
        clock.pass_(2)
        assert pool.busy() == 1
        clock.pass_(1)
        end.set()
        pool.shutdown(wait=True)
        clock.pass_(1)
        assert pool.busy() == 0.5
