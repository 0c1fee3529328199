from __future__ import annotations

import threading

import pytest

from deployments.autoscaling.workload import NEWS_S, BusyPool, Processor, Workload
from deployments.contract.types import Queued


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


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


def test_work_held_and_waiting_is_told_in_seconds_of_this_replica(clock: Clock) -> None:
    work = Workload(clock)
    first, second = Queued("a", 100, 400, refused=30), Queued("b", 50, 100, refused=20)
    work.begin(first)
    clock.pass_(2)
    work.begin(second)
    work.end(first)  # 100 units in 2 s
    told = work.report(busy=1.0)
    assert told == pytest.approx(
        {"busy": 1, "refused": (30 + 20) / 2 * 0.02, "held_s": 50 * 0.02, "waiting_s": (400 + 100) * 0.02}
    )
    clock.pass_(1)
    assert work.report(busy=1.0)["refused"] == 0


def test_a_call_over_many_reports_costs_all_the_time_it_took(clock: Clock) -> None:
    work = Workload(clock)
    call = Queued("a", 10, 0)
    work.begin(call)
    for _ in range(4):
        clock.pass_(1)
        work.report(busy=1.0)
    work.end(call)
    clock.pass_(1)
    work.begin(call)
    assert work.report(busy=1.0)["held_s"] == pytest.approx(5)


def test_a_gateway_that_calls_no_more_has_nothing_waiting(clock: Clock) -> None:
    work = Workload(clock)
    call = Queued("a", 10, 1000)
    work.begin(call)
    clock.pass_(1)
    work.end(call)
    assert work.report(busy=1.0)["waiting_s"] > 0
    clock.pass_(NEWS_S + 1)
    assert work.report(busy=0.0)["waiting_s"] == 0


def test_an_idle_replica_is_idle_whatever_health_checks_cost(clock: Clock) -> None:
    work = Workload(clock)
    clock.pass_(2)
    assert set(work.report(busy=0.1).values()) == {0}


def test_a_process_knows_its_part_of_a_core() -> None:
    wall, used = Clock(), Clock()
    processor = Processor(wall, used)
    wall.pass_(4)
    used.pass_(1)
    assert processor.busy() == 0.25
    wall.pass_(1)
    assert processor.busy() == 0
