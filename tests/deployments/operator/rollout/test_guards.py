"""The guards of a rollout: what they let pass and what they stop, in simulated rollouts of 200."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deployments.operator.neighbour_stats import Interval, NeighbourStats
from deployments.operator.rollout.guards import Limits, judge, verdict
from deployments.operator.rollout.intervals import quantile, share
from deployments.operator.traffic_stats import TrafficStats
from tests.deployments.operator.rollout.simulation import Traffic, stopped_at

COUNT = 200
SOME = pytest.param(40, id="40 rollouts")
ALL = pytest.param(COUNT, id="200 rollouts", marks=pytest.mark.slow)


def ends(traffic: Traffic, count: int) -> list[float | None]:
    return [stopped_at(np.random.default_rng(seed), traffic) for seed in range(count)]


@pytest.mark.parametrize("count", [SOME, ALL])
def test_an_identical_candidate_under_noisy_latency_is_seldom_stopped(count: int) -> None:
    stopped = [end for end in ends(Traffic(rate=50, every_s=600), count) if end is not None]
    print(f"identical: {len(stopped)} of {count} stopped")
    assert len(stopped) <= 0.05 * count


@pytest.mark.parametrize("count", [SOME, ALL])
@pytest.mark.parametrize("rate", [50, 100])
def test_a_candidate_whose_slowest_requests_take_half_again_as_long_is_caught(count: int, rate: float) -> None:
    found = ends(Traffic(rate=rate, every_s=600, tail=1.5), count)
    print(f"1.5 x p99 at {rate} requests/s: stopped at", {step: found.count(step) for step in (1, 5, 25, 50, None)})
    assert found.count(None) <= 0.05 * count


@pytest.mark.parametrize("count", [SOME, ALL])
def test_a_candidate_that_fails_one_percent_is_stopped_at_its_first_or_second_step(count: int) -> None:
    found = ends(Traffic(rate=50, every_s=600, failing=0.01), count)
    print("1 % failing: stopped at", {step: found.count(step) for step in (1, 5, 25, 50, None)})
    assert found.count(1) + found.count(5) >= 0.95 * count


def timed(*counts: float, failed: float = 0) -> TrafficStats:
    """Requests up to 10 ms, up to 20 and up to 40."""
    buckets = dict(zip([0.01, 0.02, 0.04, math.inf], [*np.cumsum(counts), sum(counts)], strict=True))
    return TrafficStats(answered=sum(counts), failed=failed, buckets=buckets, computed=buckets)


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (timed(990, 5, 5), "go"),
        (timed(100, 0, 0), "hold"),
        (timed(0, 0, 1000), "stop"),
        (timed(990, 5, 5, failed=2), "go"),
        (timed(990, 5, 5, failed=20), "stop"),
        (timed(9, 1, 0, failed=1), "hold"),
        (TrafficStats(answered=10_000), "hold"),
        (TrafficStats(), "hold"),
    ],
    ids=[
        "the same", "too few to know", "slow", "two failures", "2 percent of failures", "one of the first ten",
        "all from the cache", "no traffic",
    ],
)  # fmt: skip
def test_a_step_goes_on_holds_or_stops(candidate: TrafficStats, said: str) -> None:
    assert verdict(judge(candidate, timed(99_000, 500, 500), Limits())) == said


@pytest.mark.parametrize(("usual", "said"), [(0, "stop"), (2000, "go")], ids=["only its own", "everybody's mistakes"])
def test_inputs_that_a_model_fails_at_are_its_failures_and_clients_mistakes_are_not(usual: float, said: str) -> None:
    candidate, incumbents = timed(990, 5, 5), timed(99_000, 500, 500)
    candidate.refused, incumbents.refused = 20, usual
    assert verdict(judge(candidate, incumbents, Limits())) == said


def test_without_incumbents_to_compare_with_nothing_goes_on() -> None:
    assert verdict(judge(timed(990, 5, 5), TrafficStats(), Limits())) == "hold"


@pytest.mark.parametrize(("mean", "copies", "said"), [(0.99, 500, "go"), (0.5, 500, "stop"), (0.5, 10, "hold")])
def test_shadow_copies_must_be_near_where_that_is_asked_for(mean: float, copies: float, said: str) -> None:
    candidate = timed(990, 5, 5)
    candidate.cosines, candidate.cosine_sum = {math.inf: copies}, mean * copies
    assert verdict(judge(candidate, timed(99_000, 500, 500), Limits(min_cosine=0.98))) == said


def alike(overlap: float, inputs: float = 256) -> dict[str, NeighbourStats]:
    return {"1.0.0": NeighbourStats({5: inputs}, Interval(overlap, overlap - 0.04, overlap + 0.04))}


@pytest.mark.parametrize(
    ("neighbours", "least", "shadowed", "said"),
    [
        (alike(0.5), None, True, "go"),
        (alike(0.04), None, True, "stop"),
        (alike(0.28), None, True, "go"),
        (alike(0.5), 0.8, True, "stop"),
        (alike(0.04, inputs=60), None, True, "hold"),
        (alike(0.5) | {"1.0.1": alike(0.04)["1.0.0"]}, None, True, "stop"),
        ({}, None, True, "hold"),
        ({}, 0.0, True, "go"),
        ({}, None, False, "go"),
    ],
    ids=[
        "another model", "random weights", "within the interval", "less than asked for", "too few inputs",
        "one of two incumbents", "no copy yet", "not wanted", "no copies",
    ],
)  # fmt: skip
def test_a_candidate_must_find_the_neighbours_that_the_incumbents_find(
    neighbours: dict[str, NeighbourStats], least: float | None, shadowed: bool, said: str
) -> None:
    candidate = timed(990, 5, 5)
    candidate.neighbours = neighbours
    found = judge(candidate, timed(99_000, 500, 500), Limits(min_overlap=least), shadowed=shadowed)
    assert verdict(found) == said


def test_intervals_are_those_of_the_books() -> None:
    assert share(10, 100, 1.96) == pytest.approx((0.0552, 0.1744), abs=1e-4)  # Wilson
    assert share(0, 0, 1.96) == (0, 1)
    low, high = quantile({float(i): float(i) for i in range(1, 1001)}, 0.5, 1.96)
    assert (low, high) == pytest.approx((469.0, 531.0), abs=0.1)
    assert quantile({1.0: 10.0}, 0.99, 3.0)[1] == math.inf
