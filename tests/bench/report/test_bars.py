from __future__ import annotations

import math

import pytest

from bench.loads.open_loop import OpenResult
from bench.report.bars import ONE, Bar, bars
from bench.report.results import Cell, Overload
from bench.report.tables import number, table


def cell(target: str, *rates: float, load: str = ONE) -> tuple[tuple[str, str], Cell]:
    return (load, target), Cell(load, target, rates=list(rates), p50_ms=[1.0], p99_ms=[2.0])


def value_of(found: list[Bar], name: str) -> Bar:
    return next(bar for bar in found if bar.name == name)


def test_ratios_are_of_medians_and_against_the_peers_faster_engine() -> None:
    cells = dict(
        [
            cell("ceiling fp32", 1000, 900, 1100),
            cell("ours fp32", 700, 10, 720),
            cell("default auto", 300),
            cell("infinity torch", 100),
            cell("infinity onnx", 200),
            cell("openvino f32", 250),
            cell("openvino bf16", 240),
        ]
    )
    found = bars(cells, [])
    assert value_of(found, "fp32, 1 text, 32 clients: served / ceiling").value == pytest.approx(0.7)
    assert value_of(found, f"{ONE}: default / infinity").value == pytest.approx(1.5)
    assert value_of(found, f"{ONE}: default / infinity").verdict == "pass"
    assert value_of(found, f"{ONE}: default / openvino").verdict == "MISS"


def test_where_the_model_takes_little_what_serving_costs_is_the_bar() -> None:
    ceiling, ours = cell("ceiling int8", 4000), cell("ours int8", 1000)
    ours[1].cost_ms = [0.9, 1.1, 1.0]
    bar = value_of(bars(dict([ceiling, ours]), []), "int8, 1 text, 32 clients: ms of processor beside the model's 0.50")
    assert bar.value == pytest.approx(0.5)
    assert bar.verdict == "pass"


def test_what_was_not_measured_says_so() -> None:
    assert value_of(bars({}, []), "cache hits, 32 clients, requests/s").verdict == "not measured"


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"), [(2, True, "pass"), (0.5, True, "MISS"), (2, False, "MISS"), (1, False, "pass")]
)
def test_a_bar_is_passed_at_its_bound(value: float, at_least: bool, verdict: str) -> None:
    assert Bar("bar", value, 1, at_least).verdict == verdict


def test_overload_counts_refusals_that_say_when_to_retry() -> None:
    flood = OpenResult(
        sent=100, statuses={"200": 25, "503": 70, "500": 5}, refused_without_retry_after=0, goodput=9.5, p99_ms=30
    )
    one = Overload("ours int8", 10, 10, OpenResult(p99_ms=10), [], flood)
    found = bars({}, [one])
    assert value_of(found, "overload, ours int8: goodput / maximum").verdict == "pass"
    assert value_of(found, "overload, ours int8: refused with 503/429 + Retry-After / not served").value == 70 / 75
    assert value_of(found, "overload, ours int8: p99 of accepted / unloaded p99").value == 3


def test_a_table_shows_a_dash_for_what_is_missing() -> None:
    assert number(math.nan) == "–"
    assert table(["a", "b"], [["x", "1"]]).splitlines()[1] == "| --- | --: |"
