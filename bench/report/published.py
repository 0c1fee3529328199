"""The published runs: a folder for each kind of machine, and the bars of all of them side by side."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.report.bars import Bar
from bench.report.tables import number, table
from models.catalog.paths import ROOT
from models.engine.numerics import instruction_set

PUBLISHED = ROOT / "docs" / "benchmarks"
BRANDS = ("amd", "intel")


def name_of(machine: Mapping[str, Any]) -> str:
    """A folder's name for machines of a kind, such as ``amd-2-cores-avx512_vnni``: bars differ by these three.

    Args:
        machine: as ``bench.report.machine.describe`` tells it.
    """
    words = re.findall(r"[a-z]+", machine["cpu"].lower())
    brand = next((word for word in words if word in BRANDS), "other")
    flags = set(machine["flags"])
    return f"{brand}-{machine['cores']}-cores-{instruction_set(flags, 'x86_64', integers=True)}"


def publish(stem: Path, pictures: Iterable[Path], machine: Mapping[str, Any], root: Path = PUBLISHED) -> Path:
    """Keep a run's summary and plots in the place of the last one of such a machine, and write the bars of all anew.

    Args:
        stem: path of the run's files without their suffix.
        pictures: its plots.
        machine: that it ran on.
        root: the folder of all machines.

    Returns:
        The machine's folder.
    """
    folder = root / name_of(machine)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for suffix in (".md", ".json"):
        shutil.copyfile(stem.with_suffix(suffix), folder / f"summary{suffix}")
    for picture in pictures:
        shutil.copyfile(picture, folder / picture.name.removeprefix(f"{stem.name}-"))
    (root / "README.md").write_text(side_by_side(root), encoding="utf-8")
    return folder


def side_by_side(root: Path = PUBLISHED) -> str:
    """Every bar with its value on every machine whose run is published."""
    runs = {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(root.glob("*/summary.json"))}
    found = {name: {bar["name"]: _bar(bar) for bar in run["bars"]} for name, run in runs.items()}
    rows = []
    for bar in dict.fromkeys(bar for bars in found.values() for bar in bars):
        values = [bars.get(bar) for bars in found.values()]
        known = next(value for value in values if value is not None)
        bound = f"{'≥' if known.at_least else '≤'} {number(known.bound)}"
        rows.append([bar, bound, *("–" if value is None else _said(value) for value in values)])
    machines = [
        f"- [{name}]({name}/summary.md): {run['machine']['cpu']}, {' '.join(run['machine']['flags'])}"
        f"; {'a quick run' if run['quick'] else 'a whole run'}"
        for name, run in runs.items()
    ]
    head = "# Published runs\n\n`make bench PUBLISH=1` writes this page. Pass: ✓.\n\n"
    return head + "\n".join(machines) + "\n\n" + table(["bar", "bound", *found], rows) + "\n"


def _bar(document: Mapping[str, Any]) -> Bar:
    return Bar(document["name"], document["value"], document["bound"], document["at_least"])


def _said(bar: Bar) -> str:
    return number(bar.value) + (" ✓" if bar.verdict == "pass" else "")
