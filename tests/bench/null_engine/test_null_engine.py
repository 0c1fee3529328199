from __future__ import annotations

import re

import pytest

from bench.null_engine.__main__ import BARS, measured
from bench.null_engine.load import LOADS


@pytest.mark.parametrize("name", LOADS)
def test_no_two_inputs_of_a_load_are_equal(name: str) -> None:
    load = LOADS[name]
    requests = [one for client in range(3) for one, _ in zip(load.requests(client), range(3), strict=False)]
    assert len(set(requests)) == 9
    assert name in BARS


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADS)
def test_gateway_and_encoder_answer_and_their_time_is_counted(name: str) -> None:
    said = measured(name, LOADS[name], 0.5)
    figures = [float(found.replace(",", "")) for found in re.findall(r"(?:loop|process) ([\d,.]+)", said)]
    assert len(figures) == (6 if LOADS[name].apart else 4)
    assert all(figure > 0 for figure in figures)
