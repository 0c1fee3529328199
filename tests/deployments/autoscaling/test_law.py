from __future__ import annotations

import math

import pytest

from deployments.autoscaling.law import Report, decoder_cpus, demand, replicas
from deployments.config.scaling import Target

TARGET = Target(utilisation=0.7, drain_s=5)


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([], 0),
        ([Report(0.7)], 1),
        ([Report(1.0), Report(0.4)], 2),
        ([Report(0.7, held_s=5)], 2),
        ([Report(0.7, waiting_s=10)], 3),
        ([Report(0.7, held_s=5, waiting_s=10), Report(0.7, held_s=5, waiting_s=8)], 6),
        ([Report(1.0, refused=0.7), Report(1.0, refused=0.1)], 4),
    ],
    ids=[
        "nobody reports",
        "one as busy as it should be",
        "busy ones are added up",
        "work held counts by the time to drain it",
        "work that waits in gateways too",
        "all hear of the same queue, so that it counts once",
        "what was refused is missing",
    ],
)
def test_demand_is_what_works_and_what_waits(reports: list[Report], expected: float) -> None:
    assert demand(reports, TARGET) == pytest.approx(expected)


def test_a_queue_that_more_replicas_would_not_empty_does_not_count() -> None:
    assert demand([Report(0.3, waiting_s=1000)], Target(utilisation=0.6, drain_s=math.inf)) == 0.5


@pytest.mark.parametrize(
    ("current", "now", "peak", "expected"),
    [
        (2, 2.0, 2.0, 2),
        (2, 2.05, 2.05, 2),
        (2, 2.2, 2.2, 3),
        (1, 7.5, 7.5, 8),
        (3, 1.95, 1.95, 3),
        (3, 1.85, 1.85, 2),
        (3, 0.5, 2.5, 3),
        (1, 0.0, 0.2, 1),
        (1, 0.0, 0.0, 0),
    ],
    ids=[
        "enough",
        "a little more is slack",
        "more",
        "as many as it takes at once",
        "a little less is slack",
        "fewer",
        "not fewer than was needed lately",
        "the last stays while there was work",
        "none where there was no work",
    ],
)
def test_replicas_follow_demand(current: int, now: float, peak: float, expected: int) -> None:
    assert replicas(current, now, peak, 0.1) == expected


def test_no_demand_makes_two_numbers_take_turns() -> None:
    """Whatever the demand: the number of replicas it leads to, it also keeps."""
    for tenths in range(1, 100):
        need = tenths / 10
        for start in range(1, 12):
            reached = replicas(start, need, need, 0.1)
            assert replicas(reached, need, need, 0.1) == reached


@pytest.mark.parametrize(
    ("images_per_second", "decode_s", "cores"),
    [(1000, 0.0035, 5), (1000, 0.0036, 6), (2000, 0.007, 20), (0.1, 0.001, 1)],
    ids=[
        "exactly as busy as they should be",
        "a core more than that",
        "twice the images, twice the time",
        "never none",
    ],
)
def test_decoders_of_a_card_are_as_busy_as_their_policy_lets_them_be(
    images_per_second: float, decode_s: float, cores: int
) -> None:
    assert decoder_cpus(images_per_second, decode_s, Target(utilisation=0.7, drain_s=10)) == cores
