"""Properties of the shipped policies on simulated traffic; service times are round numbers, not this machine's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.autoscaling.__main__ import row, scaling, services
from bench.autoscaling.fleet import Run, Service, simulate, simulate_machine
from bench.autoscaling.plot import draw
from bench.autoscaling.traces import HOUR, Trace, daily, flash_crowd, slow_ramp, steady

TEXT = Service("text", 0.002, 0.0003, request_cost=32, call_cost=1024, start_s=6, queue_cost=4096 * 32, queue_s=2)
PICTURES = Service("pictures", 0.001, 0.06, request_cost=1, call_cost=8, start_s=8, queue_cost=4096, queue_s=2)
SHIPPED = [(TEXT, scaling("text-embedding--1-0-0")), (PICTURES, scaling("image-embedding--1-0-0"))]
encoders = pytest.mark.parametrize(("service", "config"), SHIPPED, ids=["text", "pictures"])


@encoders
@pytest.mark.parametrize("load", [0.05, 0.3, 0.5, 0.7, 1.0, 1.37, 2.0, 2.6, 3.3])
def test_steady_load_does_not_make_replicas_come_and_go(service: Service, config: dict, load: float) -> None:
    """Within the first look-back and delay the number settles; in the hour after, it may settle once more."""
    run = simulate(steady(load * service.capacity, 5400, seed=3), service, config)
    assert np.count_nonzero(np.diff(run.target[1800:])) <= 1
    assert not np.any(run.refused[60:])  # it began with one replica


@encoders
def test_a_flash_crowd_gets_its_replicas_within_seconds(service: Service, config: dict) -> None:
    """Traffic is all there 10 s after it began to rise; reports are 2 s old at most, and two in a row must agree."""
    high = 0.7 * config["max_replicas"]
    run = simulate(flash_crowd(0.3 * service.capacity, high * service.capacity, seed=3), service, config)
    reached = int(np.argmax(run.target >= high))
    assert 600 < reached <= 600 + 30
    assert int(np.argmax(run.serving >= high)) <= reached + 30 + service.start_s


@encoders
@pytest.mark.parametrize(
    ("make", "quiet"),
    [(daily, slice(4 * HOUR, 6 * HOUR)), (flash_crowd, slice(-1, None)), (slow_ramp, slice(-1, None))],
    ids=["daily, back in the small hours", "flash crowd, back at its end", "slow ramp, back at its end"],
)
def test_replicas_stay_within_bounds_and_come_back(service: Service, config: dict, make: Any, quiet: slice) -> None:
    run = simulate(make(0.2 * service.capacity, 2 * config["max_replicas"] * service.capacity, seed=3), service, config)
    for replicas in (run.target, run.serving):
        assert replicas.min() == config["min_replicas"]
        assert replicas.max() == config["max_replicas"]
    assert run.target[quiet].min() == config["min_replicas"]


@encoders
def test_nothing_waits_long_while_replicas_suffice(service: Service, config: dict) -> None:
    run = simulate(
        slow_ramp(0.3 * service.capacity, 0.6 * config["max_replicas"] * service.capacity, 3), service, config
    )
    assert run.queue_s.max() < 2
    assert run.failed == 0


@encoders
def test_slower_replicas_are_answered_with_more_of_them(service: Service, config: dict) -> None:
    """As when neighbours take the processor: the same traffic takes twice the time."""
    slow = Service(**{**vars(service), "call_s": 2 * service.call_s, "cost_s": 2 * service.cost_s})
    trace = steady(1.5 * service.capacity, 1800, seed=3)
    assert simulate(trace, slow, config).serving[-1] > simulate(trace, service, config).serving[-1]


def test_a_version_that_may_sleep_does_so_when_nobody_calls_and_wakes_for_a_request() -> None:
    config = {**SHIPPED[0][1], "min_replicas": 0, "downscale_to_zero_delay_s": 60}
    calls = np.concatenate([np.full(60, 20), np.zeros(600, int), np.full(60, 1)])
    run = simulate(Trace("seldom", calls), TEXT, config)
    assert run.target[60] == 1
    assert run.serving[659] == 0
    assert run.serving[-1] == 1
    assert run.latency_s[660] == pytest.approx(TEXT.start_s, abs=2)


def test_the_model_keeps_every_request() -> None:
    """What arrives is served, waits, or was refused."""
    run = simulate(flash_crowd(5, 3000, seed=3), TEXT, SHIPPED[0][1])
    waits = run.queue_s[-1] * run.serving[-1] * TEXT.speed / TEXT.request_cost
    assert waits == pytest.approx(0, abs=1)
    assert 0 < run.refused.sum() < run.trace.requests.sum()
    assert np.all(run.latency_s > 0)


def test_seconds_in_which_nothing_arrives_make_nobody_wait() -> None:
    run = simulate(Trace("seldom", np.array([1, 0, 0, 2, 0, 1] * 100)), TEXT, SHIPPED[0][1])
    assert run.latency_s.max() < 0.1


@pytest.mark.parametrize(
    ("rate", "busy"),
    [(1, 0.0116), (50, 0.58), (90, 1.0), (1000, 1.0)],
    ids=["alone", "half", "in calls of two", "more than it can do"],
)
def test_a_replica_is_as_busy_as_its_calls_make_it(rate: float, busy: float) -> None:
    found, seconds = TEXT.calls(rate * TEXT.request_cost)
    assert found == pytest.approx(busy)
    assert seconds <= TEXT.call_s + TEXT.call_cost * TEXT.cost_s


def test_the_measured_services_make_a_table_and_a_picture(tmp_path) -> None:
    for application, service in services().items():
        config = scaling(application)
        run = simulate(flash_crowd(0.3 * service.capacity, 2 * service.capacity, seed=3), service, config)
        assert row(run, config)[0] == "flash crowd"
        assert draw([run, run], tmp_path).stat().st_size > 10_000


def machine(cores: int, loads: list[float], seconds: int = 1800) -> list[Run]:
    """Runs of as many text versions on one machine, each asked for as much as so many replicas can do."""
    traces = [steady(load * TEXT.capacity, seconds, seed=3 + number) for number, load in enumerate(loads)]
    return simulate_machine([(trace, TEXT, SHIPPED[0][1]) for trace in traces], cores)


@pytest.mark.parametrize("cores", [2, 4, 8, 64])
@pytest.mark.parametrize(
    "loads", [[40.0, 0.0], [9.0, 9.0], [3.0, 2.0, 0.2]], ids=["one crowd", "two crowds", "fitting"]
)
def test_replicas_of_all_versions_together_are_no_more_than_the_cores(cores: int, loads: list[float]) -> None:
    runs = machine(cores, loads)
    aimed_for = np.sum([run.target for run in runs], axis=0)
    assert aimed_for.max() <= max(cores, len(loads))  # a version with no replica would not serve
    assert all(np.count_nonzero(np.diff(run.target[600:])) <= 1 for run in runs)  # and they settle


def test_versions_share_a_machine_by_what_they_need() -> None:
    crowd, quiet = machine(8, [40.0, 0.1])
    assert (crowd.target[-1], quiet.target[-1]) == (7, 1)
    first, second = machine(8, [40.0, 40.0])
    assert (first.target[-1], second.target[-1]) == (4, 4)


def test_who_comes_late_gets_its_share_when_the_other_has_left_it() -> None:
    early = steady(40 * TEXT.capacity, 3600, seed=3)
    late = Trace("late", np.where(np.arange(3600) < 900, 0, early.requests))
    runs = simulate_machine([(early, TEXT, SHIPPED[0][1]), (late, TEXT, SHIPPED[0][1])], 8)
    assert (runs[0].target[890], runs[1].target[890]) == (7, 1)
    assert (runs[0].target[-1], runs[1].target[-1]) == (4, 4)
    assert np.sum([run.target for run in runs], axis=0).max() <= 8


def test_a_crowd_on_two_cores_is_served_as_fast_as_two_cores_can_and_starts_nothing() -> None:
    """Seven replicas would share the same two cores."""
    crowd, quiet = machine(2, [40.0, 0.0], seconds=300)
    assert (crowd.target.max(), quiet.target.max()) == (1, 1)
