"""Runs of several machines stand side by side, each in the place of the last of its kind."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench.report.published import PUBLISHED, name_of, publish, side_by_side

AMD = {"cpu": "AMD EPYC", "cores": 2, "flags": ["avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16"]}
INTEL = {"cpu": "Intel(R) Xeon(R) Processor", "cores": 2, "flags": ["avx512f", "amx_tile", "amx_int8", "amx_bf16"]}


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        (AMD, "amd-2-cores-avx512_vnni"),
        (INTEL, "intel-2-cores-amx_int8"),
        ({"cpu": "?", "cores": 8, "flags": []}, "other-8-cores-sse2"),
    ],
)
def test_a_folder_is_named_by_brand_cores_and_instructions(machine: dict[str, Any], name: str) -> None:
    assert name_of(machine) == name


def run(folder: Path, machine: dict[str, Any], **values: float) -> Path:
    """Files as a run writes them."""
    bars = [{"name": name, "value": value, "bound": 1.0, "at_least": True} for name, value in values.items()]
    stem = folder / "20250101-000000-quick"
    stem.with_suffix(".json").write_text(json.dumps({"machine": machine, "quick": True, "bars": bars}))
    stem.with_suffix(".md").write_text("the summary")
    plot = folder / f"{stem.name}-latency.png"
    plot.write_bytes(b"a plot")
    return publish(stem, [plot], machine, folder / "published")


def test_a_new_run_takes_the_place_of_the_last_of_its_kind_and_leaves_the_others(tmp_path: Path) -> None:
    run(tmp_path, AMD, first=0.5, second=2.0)
    run(tmp_path, INTEL, first=3.0, third=math.nan)
    folder = run(tmp_path, AMD, first=1.5, second=0.25)
    assert sorted(path.name for path in folder.iterdir()) == ["latency.png", "summary.json", "summary.md"]
    lines = (tmp_path / "published/README.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == ["bar", "bound", "amd-2-cores-avx512_vnni", "intel-2-cores-amx_int8"]
    assert cells[2:] == [
        ["first", "≥ 1.00", "1.50 ✓", "3.00 ✓"],
        ["second", "≥ 1.00", "0.25", "–"],
        ["third", "≥ 1.00", "–", "–"],
    ]


def test_the_page_in_the_docs_is_that_of_the_runs_beside_it() -> None:
    assert (PUBLISHED / "README.md").read_text("utf-8") == side_by_side()
