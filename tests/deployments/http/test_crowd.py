"""How many requests a gateway lets in while more come than it answers: the law, and what it does to a service in simulated time."""

from __future__ import annotations

import random

import pytest

from deployments.http.crowd import LEAST, TICK_S, Crowd, allowed
from tests.deployments.http.crowd_simulation import PLACES, Gateway, percentile

WAIT_S = 0.05


@pytest.mark.parametrize(
    ("rate", "wait_s", "long", "expected"),
    [
        (1500, 0.05, 0, 75),
        (2000, 0.03, 0, 60),
        (100, 0.05, 0, LEAST),
        (1500, 0.05, 100, 175),
        (9000, 0.05, 0, 256),
        (0, 0.05, 240, 256),
        (1500, 60.0, 0, 256),
    ],
    ids=[
        "what a rate answers in that time",
        "in a shorter time",
        "a slow service still fills its batches",
        "those that are open for long come on top",
        "never more than there are places",
        "nor with those that are open for long",
        "nor where long waits are allowed",
    ],
)
def test_as_many_may_be_open_as_are_answered_while_one_waits(
    rate: float, wait_s: float, long: int, expected: int
) -> None:
    assert allowed(rate, wait_s, long, PLACES) == expected


def overloaded(wait_s: float | None, **service: float) -> tuple[Gateway, list[float]]:
    """A gateway at four times its capacity for 20 s, and the latencies of the last 15 s."""
    gateway = Gateway(wait_s, **service)  # type: ignore[arg-type]
    gateway.arrivals(4 * gateway.capacity, 20, seed=1)
    gateway.run(5)
    seen = len(gateway.latencies)
    gateway.run(20)
    return gateway, gateway.latencies[seen:]


@pytest.mark.parametrize("each_s", [0.0003, 0.0006, 0.002], ids=["fast", "usual", "slow"])
def test_at_four_times_the_load_the_accepted_wait_as_long_as_is_allowed_and_nothing_is_lost_of_the_rate(
    each_s: float,
) -> None:
    gateway, latencies = overloaded(WAIT_S, each_s=each_s)
    _, without = overloaded(None, each_s=each_s)
    least = LEAST * each_s + 2 * gateway.batch_s  # where the rate lets fewer in than are let in anyway
    assert percentile(latencies, 99) <= 2.2 * max(WAIT_S, least)
    assert percentile(latencies, 99) < percentile(without, 99)
    assert len(latencies) / 15 >= 0.9 * gateway.capacity


@pytest.mark.parametrize("clients", [32, 128, 255])
def test_clients_that_wait_for_their_answers_are_all_served_as_long_as_there_are_places(clients: int) -> None:
    gateway = Gateway(WAIT_S)
    gateway.run(20, clients)
    assert gateway.refused == 0


def test_when_fewer_come_again_all_places_are_there_again() -> None:
    gateway = Gateway(WAIT_S)
    gateway.arrivals(4 * gateway.capacity, 10, seed=1)
    gateway.run(10)
    assert gateway.told < PLACES / 2
    gateway.arrivals(0.5 * gateway.capacity, 10, seed=2)
    gateway.run(12)
    refused = gateway.refused
    gateway.run(20)
    assert (gateway.told, gateway.refused) == (PLACES, refused)


@pytest.mark.parametrize("share", [1.0, 0.75], ids=["of many clients", "of one client"])
@pytest.mark.parametrize("largest", [20, 40, 200], ids=["small calls", "usual calls", "a call holds all that wait"])
def test_while_four_times_the_load_comes_fewer_are_let_in(share: float, largest: int) -> None:
    gateway = Gateway(0.04, largest=largest, share=share)
    gateway.arrivals(4 * gateway.capacity, 20, seed=1)
    gateway.run(1)
    seen = len(gateway.limits)
    gateway.run(20)
    assert max(gateway.limits[seen:]) < PLACES / 2


@pytest.mark.parametrize("load", [0.7, 0.8, 0.85, 0.9])
def test_after_a_spike_nobody_is_refused_at_a_load_that_can_be_borne(load: float) -> None:
    gateway = Gateway(0.04)
    gateway.arrivals(4 * gateway.capacity, 10, seed=1)
    gateway.run(10)
    gateway.arrivals(load * gateway.capacity, 60, seed=2)
    gateway.run(14)
    refused = gateway.refused
    gateway.run(70)
    assert gateway.refused == refused


@pytest.mark.parametrize("before", [0, 3], ids=["at once", "in a while"])
def test_requests_that_take_long_take_no_place_from_those_that_come(before: int) -> None:
    """As while another version has no replica: without them counted apart, nobody would be let in beside them."""
    gateway = Gateway(WAIT_S)
    gateway.slow(200, 60)
    gateway.run(before)
    gateway.arrivals(4 * gateway.capacity, 20, seed=1)
    gateway.run(before + 5)
    seen = len(gateway.latencies)
    gateway.run(before + 20)
    assert (len(gateway.latencies) - seen) / 15 >= 0.85 * gateway.capacity


def test_where_haproxy_refuses_the_rate_counts_although_many_are_not_read_yet() -> None:
    now = 0.0
    crowd = Crowd(lambda: now)
    crowd.begin(PLACES)
    assert crowd.limit == PLACES
    for _ in range(150):  # a thousand a second
        now += 0.001
        crowd.leave(crowd.enter(70, PLACES, WAIT_S))
    assert crowd.limit == pytest.approx(50, abs=2)
    now += TICK_S
    crowd.leave(crowd.enter(1, PLACES, WAIT_S))
    now += TICK_S
    crowd.leave(crowd.enter(1, PLACES, WAIT_S))
    assert crowd.limit is None


@pytest.mark.parametrize("seed", range(10))
def test_whatever_comes_and_goes_everybody_is_counted_once(seed: int) -> None:
    chance, now, opened = random.Random(seed), 0.0, []
    crowd = Crowd(lambda: now)
    for _ in range(3000):
        now += chance.expovariate(1 / 0.01) if chance.random() < 0.999 else 30
        if opened and chance.random() < 0.5:
            crowd.leave(opened.pop(chance.randrange(len(opened))))
        else:
            opened.append(crowd.enter(len(opened) + 1, PLACES, WAIT_S))
        assert sum(crowd._since) + crowd._long == len(opened)
        assert min(*crowd._since, crowd._long) >= 0
