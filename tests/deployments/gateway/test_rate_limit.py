from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.config.limits import Rate
from deployments.gateway.rate_limit import Bucket, RateLimiter
from models.errors import RateLimitError


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def passes(rates: RateLimiter, client: str | None, items: int, rate: Rate) -> bool:
    try:
        rates.take(client, items, rate)
    except RateLimitError:
        return False
    return True


def test_without_a_rate_everything_passes() -> None:
    assert all(passes(RateLimiter(Clock()), "a", 10**9, Rate()) for _ in range(10))


def test_a_burst_passes_then_the_rate_holds() -> None:
    clock, rate = Clock(), Rate(items_per_second=10, burst_s=2)
    rates = RateLimiter(clock)
    assert passes(rates, "a", 20, rate)
    assert not passes(rates, "a", 1, rate)
    clock.now = 0.5
    assert [passes(rates, "a", 1, rate) for _ in range(7)] == [True] * 5 + [False] * 2


def test_the_wait_that_is_told_is_enough_and_not_a_second_too_long() -> None:
    clock, rate = Clock(), Rate(items_per_second=4, burst_s=10)
    rates = RateLimiter(clock)
    rates.take("a", 40, rate)
    with pytest.raises(RateLimitError, match="4 inputs per second") as caught:
        rates.take("a", 10, rate)
    assert caught.value.retry_after_s == 3
    clock.now = 3
    assert passes(rates, "a", 10, rate)


def test_a_list_larger_than_the_bucket_passes_when_it_is_full_and_is_paid_off() -> None:
    clock, rate = Clock(), Rate(items_per_second=10, burst_s=1)
    rates = RateLimiter(clock)
    assert passes(rates, "a", 100, rate)
    clock.now = 9
    assert not passes(rates, "a", 1, rate)
    clock.now = 10
    assert passes(rates, "a", 10, rate)


def test_clients_do_not_share_and_callers_without_a_key_do() -> None:
    rates, rate = RateLimiter(Clock()), Rate(items_per_second=1, burst_s=1)
    assert passes(rates, "a", 1, rate)
    assert passes(rates, "b", 1, rate)
    assert passes(rates, None, 1, rate)
    assert [passes(rates, client, 1, rate) for client in ("a", "b", None)] == [False] * 3


def test_a_key_may_have_a_rate_of_its_own() -> None:
    clock, rate = Clock(), Rate(items_per_second=1, burst_s=1, keys={"crawler": 100})
    rates = RateLimiter(clock)
    assert passes(rates, "crawler", 100, rate)
    assert not passes(rates, "crawler", 1, rate)
    only = Rate(keys={"crawler": 1}, burst_s=1)
    assert passes(RateLimiter(clock), "shop", 10**6, only)


def test_a_changed_rate_holds_at_once() -> None:
    clock = Clock()
    rates = RateLimiter(clock)
    assert passes(rates, "a", 100, Rate(items_per_second=100, burst_s=1))
    clock.now = 1
    assert [passes(rates, "a", 1, Rate(items_per_second=1, burst_s=1)) for _ in range(2)] == [True, False]


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 5)), min_size=1, max_size=200))
def test_what_passes_never_exceeds_burst_and_rate(requests: list[tuple[int, float]]) -> None:
    """Over any time: the bucket, what came back meanwhile, and the overdraft of one request."""
    bucket, now, passed = Bucket(20.0, 0.0), 0.0, 0
    for items, pause in requests:
        now += pause
        if bucket.take(items, 7.0, 20.0, now) == 0:
            passed += items
    assert passed <= 20 + 7 * now + 50


@given(st.integers(1, 500), st.floats(0.1, 1000), st.floats(1, 100))
def test_after_the_wait_a_request_passes(items: int, per_second: float, capacity: float) -> None:
    bucket = Bucket(0.0, 0.0)
    wait = bucket.take(items, per_second, capacity, 0.0)
    assert wait > 0
    assert bucket.take(items, per_second, capacity, wait * (1 + 1e-9)) == 0
