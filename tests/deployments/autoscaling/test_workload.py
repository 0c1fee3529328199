from __future__ import annotations

import pytest

from deployments.autoscaling.workload import NEWS_S, Workload
from deployments.contract.call import Queued
from tests.deployments.autoscaling.clock import Clock


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
