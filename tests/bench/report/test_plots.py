from __future__ import annotations

import json
from pathlib import Path

from bench.report.plots import draw
from models.catalog.paths import ROOT


def test_the_published_run_draws_three_pictures(tmp_path: Path) -> None:
    document = json.loads(next((ROOT / "docs/benchmarks").glob("*/summary.json")).read_text())
    pictures = draw(document, tmp_path / "run")
    assert [picture.name for picture in pictures] == ["run-throughput.png", "run-latency.png", "run-open-loop.png"]
    assert all(picture.stat().st_size > 10_000 for picture in pictures)


def test_a_run_of_cached_hits_alone_has_no_ceiling_and_draws_no_throughput(tmp_path: Path) -> None:
    cell = {"load": "text 1×13 c32 cached", "target": "ours int8", "medians": {"rate": 1.0, "p50": 1.0, "p99": 2.0}}
    assert draw({"cells": [cell], "overloads": []}, tmp_path / "run") == []


def test_a_run_of_one_load_draws_what_it_has(tmp_path: Path) -> None:
    medians = {"rate": 1.0, "p50": 1.0, "p99": 2.0}
    targets = ("ceiling int8", "ours int8")
    cells = [{"load": "text 1×13 c32", "target": target, "medians": medians} for target in targets]
    pictures = draw({"cells": cells, "overloads": []}, tmp_path / "run")
    assert [picture.name for picture in pictures] == ["run-throughput.png", "run-latency.png"]
