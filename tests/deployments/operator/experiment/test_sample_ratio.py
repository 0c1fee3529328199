"""Whether a split is as the weights say: the probability, the alarm and its false ones, and keys from an exposure log."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deployments.operator.experiment.exposure_log import read
from deployments.operator.experiment.sample_ratio import chi_squared_tail, split
from models.errors import ConfigError


@pytest.mark.parametrize(
    ("value", "freedom", "tail"),
    [(3.841, 1, 0.05), (5.991, 2, 0.05), (7.815, 3, 0.05), (13.277, 4, 0.01), (20.515, 5, 0.001), (0.0, 3, 1.0)],
)
def test_probabilities_are_those_of_the_books(value: float, freedom: int, tail: float) -> None:
    assert chi_squared_tail(value, freedom) == pytest.approx(tail, rel=2e-3)


def test_a_split_as_the_weights_say_seldom_alarms_and_a_lost_tenth_always() -> None:
    rng, shares = np.random.default_rng(3), {"1": 90.0, "2": 9.0, "3": 1.0}
    alarms = lost = 0
    for _ in range(500):
        first, second, third = rng.multinomial(100_000, [0.9, 0.09, 0.01])
        alarms += split({"1": first, "2": second, "3": third}, shares).mismatch
        lost += split({"1": first, "2": second * 0.9, "3": third}, shares).mismatch
    assert alarms <= 4
    assert lost == 500


@pytest.mark.parametrize(
    ("counted", "shares"),
    [({"1": 100.0}, {"1": 1.0}), ({"1": 99.0, "2": 1.0}, {"1": 99.0, "2": 1.0}), ({}, {"1": 1.0, "2": 1.0})],
    ids=["one version", "too few of one", "nothing"],
)
def test_what_cannot_be_known_is_not_said(counted: dict[str, float], shares: dict[str, float]) -> None:
    found = split(counted, shares)
    assert (found.p, found.mismatch) == (None, False)


def test_keys_are_counted_once_and_those_that_saw_two_versions_are_told(tmp_path: Path) -> None:
    def line(key: str | None, version: str, chosen: str = "weight") -> str:
        return json.dumps({"experiment": "m/1", "chosen": chosen, "key_hash": key, "version": version, "message": "x"})

    log = tmp_path / "access.log"
    rows = [line("a", "1"), line("a", "1"), line("b", "2"), line("a", "2"), line(None, "1"), line("c", "1", "pin")]
    log.write_text("\n".join([*rows, '{"time": "no experiment"}', '{"half a li']))
    found = read([log])["m/1"]
    assert found.keys == {"1": {"a"}, "2": {"b", "a"}}
    assert found.torn == 1


def test_a_log_without_exposures_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text('{"version": "1"}\n')
    with pytest.raises(ConfigError, match=r"experiments\.exposures"):
        read([tmp_path / "access.log"])
