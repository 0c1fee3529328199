from __future__ import annotations

from deployments.gateway.cache.redis.circuit_breaker import FAILURES, FIRST_WAIT_S, LONGEST_WAIT_S, CircuitBreaker


def opened(now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    assert [breaker.failure(now) for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
    return breaker


def trials(breaker: CircuitBreaker, start: float, seconds: int) -> list[float]:
    """When a server that goes on failing is tried, asked ten times a second."""
    times = [start + i / 10 for i in range(seconds * 10)]
    return [now for now in times if breaker.allow(now) and not breaker.failure(now)]


def test_failures_in_a_row_open_it_and_any_success_between_starts_the_count_anew() -> None:
    breaker = CircuitBreaker()
    for _ in range(3 * FAILURES):
        assert not breaker.failure(0)
        assert not breaker.success(0)
    assert breaker.allow(0)
    assert not opened().allow(0)


def test_only_the_failure_that_opens_it_and_the_success_that_closes_it_are_news() -> None:
    breaker = opened()
    assert not breaker.failure(0.1)
    assert breaker.success(2)
    assert not breaker.success(2)
    assert not breaker.open


def test_one_trial_after_each_wait_and_waits_double_up_to_the_longest() -> None:
    times = trials(opened(), 0.0, 60)
    waits = [round(later - sooner, 1) for sooner, later in zip([0.0, *times], times, strict=False)]
    assert waits[:4] == [FIRST_WAIT_S, 2.0, 4.0, 8.0]
    assert set(waits[4:]) == {LONGEST_WAIT_S}


def test_only_one_caller_is_the_trial() -> None:
    breaker = opened()
    assert breaker.blocked(FIRST_WAIT_S / 2)
    assert [breaker.allow(FIRST_WAIT_S) for _ in range(5)] == [True, False, False, False, False]


def test_a_trial_that_succeeds_closes_it() -> None:
    breaker = opened()
    assert breaker.allow(FIRST_WAIT_S)
    assert breaker.success(FIRST_WAIT_S)
    assert all(breaker.allow(FIRST_WAIT_S) for _ in range(5))


def test_a_server_that_recovers_for_a_moment_only_is_tried_less_and_less() -> None:
    breaker = opened()
    now = FIRST_WAIT_S
    assert breaker.allow(now)
    breaker.success(now)
    for _ in range(FAILURES):
        breaker.failure(now)
    assert not breaker.allow(now + FIRST_WAIT_S)
    assert breaker.allow(now + 2 * FIRST_WAIT_S)


def test_after_a_good_while_the_first_wait_counts_again() -> None:
    breaker = opened()
    assert breaker.allow(FIRST_WAIT_S)
    breaker.success(FIRST_WAIT_S)
    now = 2 * LONGEST_WAIT_S
    for _ in range(FAILURES):
        breaker.failure(now)
    assert breaker.allow(now + FIRST_WAIT_S)
