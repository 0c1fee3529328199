"""Drift against a frozen reference: a changed stream is noticed within minutes, a steady one never; the figures by hand."""

from __future__ import annotations

from collections import deque
from itertools import islice

import numpy as np
import pytest

from deployments.encoder.drift.distance import COVARIANCE, MEAN, distances, freeze, largest_gap
from deployments.encoder.drift.watch import REFERENCE, WINDOW
from deployments.encoder.drift.window import Window, moments
from tests.deployments.encoder.drift.stream import seconds, steady

ALARM = 0.3  # of k8s/monitoring/objects/rules.yaml
DAY_S, LOOK_S = 86_400, 10


def test_the_distance_of_two_samples_is_that_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(1)
    first, second = np.sort(rng.integers(0, 9, 40).astype(float)), np.sort(rng.integers(2, 14, 25).astype(float))
    by_hand = max(abs((first <= at).mean() - (second <= at).mean()) for at in range(15))
    assert largest_gap(first, second) == pytest.approx(by_hand)
    assert largest_gap(first, first) == 0
    assert largest_gap(first, first + 100) == 1


def test_moments_are_those_of_numpy() -> None:
    vectors = np.random.default_rng(2).normal(size=(50, 7)).astype(np.float32)
    found = moments(vectors)
    np.testing.assert_allclose(found.mean, vectors.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(vectors.T), atol=1e-5)


def test_moved_and_stretched_vectors_are_told_apart() -> None:
    rng = np.random.default_rng(3)
    make = lambda n: rng.normal(size=(n, 8)).astype(np.float32)  # noqa: E731
    reference = freeze(Window({}, make(REFERENCE)), WINDOW)
    moved = distances(Window({}, make(WINDOW) + np.float32(1)), reference)
    assert moved[MEAN] == pytest.approx(1, abs=0.1)  # the square root of 8, by that of 8 variances of 1
    assert moved[COVARIANCE] < 0.2
    stretched = distances(Window({}, make(WINDOW) * np.float32(2)), reference)
    assert stretched[MEAN] < 0.1
    assert stretched[COVARIANCE] == pytest.approx(3, abs=0.3)  # four variances instead of one


def test_traits_that_an_input_lacks_are_left_out_and_few_say_nothing() -> None:
    rng = np.random.default_rng(4)

    def window(count: int, level: float, having: int) -> Window:
        some = rng.normal(level, 1, count)
        some[having:] = np.nan
        return Window({"some": some}, rng.normal(size=(count, 4)).astype(np.float32))

    reference = freeze(window(REFERENCE, 0, REFERENCE), WINDOW)
    assert distances(window(WINDOW, 3, 100), reference)["some"] > 0.5
    assert "some" not in distances(window(WINDOW, 3, 10), reference)


def highest(inputs, since: deque, reference, count: int) -> dict[str, float]:
    """The highest of each figure while ``count`` more inputs come."""
    found: dict[str, float] = {}
    for number, one in enumerate(islice(inputs, count)):
        since.append(one)
        if number % int(LOOK_S / 0.25) == 0:
            for name, value in distances(Window.of(list(since)), reference).items():
                found[name] = max(found.get(name, 0), value)
    return found


@pytest.mark.parametrize(
    "day_s",
    [
        pytest.param(1800, id="half an hour"),
        pytest.param(DAY_S, id="a day", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_a_steady_stream_never_raises_a_gauge(day_s: int) -> None:
    stream = steady(np.random.default_rng(11))
    first = list(islice(stream, REFERENCE))
    found = highest(stream, deque(first, maxlen=WINDOW), freeze(Window.of(first), WINDOW), int(day_s / seconds(1)))
    print(f"highest in {day_s} s of a steady stream:", {name: round(value, 3) for name, value in found.items()})
    assert max(found.values()) < ALARM


@pytest.mark.parametrize(
    ("changed", "gauges"),
    [({"longer": 3.0}, {"tokens"}), ({"language": 0.8}, {"characters_per_token", "unknown", MEAN})],
    ids=["three times as long", "another language"],
)
def test_a_stream_that_changes_raises_its_gauge_within_five_minutes(
    changed: dict[str, float], gauges: set[str]
) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        first = list(islice(steady(rng), REFERENCE))
        window = deque(first, maxlen=WINDOW)
        reference = freeze(Window.of(first), WINDOW)
        window.extend(islice(steady(rng, **changed), int(300 / seconds(1))))
        raised = {name for name, value in distances(Window.of(list(window)), reference).items() if value > ALARM}
        assert gauges <= raised
