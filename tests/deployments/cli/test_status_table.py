from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from deployments.cli.status_table import COLUMNS, TRAFFIC, table, traffic
from deployments.cli.wide_console import PIPED_WIDTH
from deployments.operator.traffic_stats import TrafficStats

NUMERICS = "cpu/fp32/avx512f-avx512_vnni/onnxruntime-1.32.0"


def entry(**changes: Any) -> dict[str, Any]:
    known = {"id": "text-embedding@1.0.0", "state": "ready", "hash": "9b1c" * 16, "precision": "fp32", "replicas": 2}
    return {**known, "weights": "real", "share": 1.0, "reason": None, "numerics": NUMERICS, **changes}


def printed(width: int, **changes: Any) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - nothing is written
    console.print(table([entry(**changes)]))
    return console.export_text().splitlines()


def test_what_computes_a_version_stands_whole_in_what_is_piped() -> None:
    assert any(line.rstrip().endswith(NUMERICS) for line in printed(PIPED_WIDTH))


@pytest.mark.parametrize("known", [None, ""], ids=["not ready yet", "of an earlier release"])
def test_a_version_whose_class_nobody_said_has_a_question_mark(known: str | None) -> None:
    assert any(line.rstrip().endswith(" ?") for line in printed(PIPED_WIDTH, numerics=known))


def test_a_narrow_terminal_cuts_the_class_off_and_nothing_else() -> None:
    (head,) = [line for line in printed(80) if "version" in line]
    (row,) = [line for line in printed(80) if "text-embedding" in line]
    assert head.split()[:10] == [*COLUMNS, *TRAFFIC]
    assert row.split()[:6] == ["text-embedding@1.0.0", "ready", "9b1c9b1c", "fp32", "100%", "2"]
    assert NUMERICS not in row


def test_a_slow_version_has_its_milliseconds_in_full() -> None:
    stats = TrafficStats(answered=4, buckets={2.0: 0, 5.0: 4})
    rate, median, _, failed = traffic(stats, 2.0)
    assert (rate, failed) == ("2.0", "0")
    assert float(median) > 2000
    assert "e" not in median
