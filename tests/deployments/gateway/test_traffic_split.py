from __future__ import annotations

from collections import Counter

import pytest

from deployments.config.routes import shares
from deployments.gateway.traffic_split import choose

KEYS = [f"user-{i}" for i in range(20_000)]


def assignment(weights: dict[str, float]) -> list[str]:
    return [choose(weights, key) for key in KEYS]


@pytest.mark.parametrize(
    "weights", [{"a": 90.0, "b": 10.0}, {"a": 1.0, "b": 1.0, "c": 2.0}, {"a": 0.5, "b": 99.5}], ids=str
)
def test_the_split_over_keys_is_within_three_standard_deviations(weights: dict[str, float]) -> None:
    counts = Counter(assignment(weights))
    for version, share in shares(weights).items():
        deviation = (len(KEYS) * share * (1 - share)) ** 0.5
        assert abs(counts[version] - len(KEYS) * share) <= 3 * deviation


def test_raising_a_weight_moves_only_the_keys_it_must() -> None:
    before, after = assignment({"a": 90, "b": 10}), assignment({"a": 80, "b": 20})
    moved = [(x, y) for x, y in zip(before, after, strict=True) if x != y]
    assert set(moved) == {("a", "b")}
    assert abs(len(moved) / len(KEYS) - 0.10) <= 0.01


def test_a_key_keeps_its_version_across_processes() -> None:
    assert [choose({"1.0.0": 50, "1.1.0": 50}, f"k{i}") for i in range(8)] == [
        choose({"1.1.0": 50, "1.0.0": 50}, f"k{i}") for i in range(8)
    ]


def test_a_version_of_weight_zero_is_never_chosen() -> None:
    assert {choose({"a": 0, "b": 5}, key) for key in KEYS[:500]} == {"b"}
    assert {choose({"a": 0, "b": 5}) for _ in range(100)} == {"b"}


def test_without_a_key_every_request_is_drawn_anew() -> None:
    counts = Counter(choose({"a": 50, "b": 50}) for _ in range(2000))
    assert min(counts.values()) > 800
