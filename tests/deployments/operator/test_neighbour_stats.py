from __future__ import annotations

import pytest

from deployments.operator.neighbour_stats import Interval, mean_of
from deployments.operator.traffic_stats import parse


def exposition(replica: str, inputs: float, mean: float, apart: float) -> str:
    labels = f'model="m",version="2",other="1",replica="{replica}"'
    lines = [f'ray_embedserve_neighbour_inputs{{{labels},same="{same}"}} {inputs / 2}' for same in (3, 7)]
    for name in ("neighbour_overlap", "rank_correlation"):
        for bound, value in (("mean", mean), ("low", mean - apart), ("high", mean + apart)):
            lines.append(f'ray_embedserve_{name}{{{labels},bound="{bound}"}} {value}')
    return "\n".join(lines) + "\n"


def test_samples_of_several_gateways_are_one_by_their_sizes() -> None:
    text = exposition("a", 300, 0.6, 0.04) + exposition("b", 100, 0.2, 0.04)
    found = parse(text)["m@2"].neighbours["1"]
    assert found.inputs == 400
    assert found.same == {3: 200, 7: 200}
    assert found.overlap is not None
    assert found.overlap.mean == pytest.approx(0.5)
    assert found.overlap.high - found.overlap.mean == pytest.approx(((0.75 * 0.04) ** 2 + (0.25 * 0.04) ** 2) ** 0.5)


def test_half_of_a_gateways_series_say_nothing() -> None:
    text = "\n".join(line for line in exposition("a", 300, 0.6, 0.04).splitlines() if 'bound="low"' not in line)
    assert parse(text + "\n")["m@2"].neighbours["1"].overlap is None
    assert mean_of([(0.0, Interval(1, 1, 1))]) is None
