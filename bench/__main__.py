"""``python -m bench``: one run, every system, one table."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import infinity, overload, report
from bench.bars import ALONE, MANY, ONE, RAW, bars, rate
from bench.loads import full_plan, quick_plan
from bench.machine import describe
from bench.overload import Overload
from bench.runner import Bench
from bench.service_config import measured
from bench.systems import STARTERS
from models.catalog.catalog import ROOT
from models.catalog.store import pull

RESULTS = ROOT / "bench" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write JSON, Markdown and plots."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the loads that have a bar, briefly")
    parser.add_argument("--systems", default=",".join(STARTERS), help="some of: %(default)s")
    parser.add_argument("--publish", action="store_true", help="keep the summary and plots in docs/")
    parser.add_argument("--profile", action="store_true", help="where a one-text request spends its time, instead")
    options = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing; install it, on Debian with `apt-get install wrk`")
    if options.profile:
        from bench import profile

        return profile.run(RESULTS)
    return _measure(options.quick, options.systems.split(","), options.publish)


def _measure(quick: bool, systems: list[str], publish: bool) -> int:
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what runs is stopped on the way out
    machine = describe()
    plan = quick_plan() if quick else full_plan()

    def tell(message: str) -> None:
        print(f"[{time.monotonic() - begin:6.1f} s] {message}", file=sys.stderr, flush=True)

    for spec in measured():
        pull(spec, allow_synthetic=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    bench = Bench(folder, systems, tell)
    overloads: list[Overload] = []
    try:
        bench.start()
        bench.measure(plan)
        for target in bench.targets:
            if target.name == "ours int8" and target.modality == "text":
                closed = rate(bench.cells, ONE, target.name)
                overloads.append(overload.measure(bench, target, closed, plan, tell))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave servers behind
        killed = bench.stop()
        tell(f"stopped; killed: {killed}")
    document: dict[str, Any] = {
        "machine": machine,
        "quick": quick,
        "seconds": time.monotonic() - begin,
        "killed": killed,
        "left_out": bench.failures,
        "cells": [cell.document() for cell in bench.cells.values()],
        "bars": [{**bar.__dict__, "verdict": bar.verdict} for bar in bars(bench.cells, overloads)],
        "overloads": [one.document() for one in overloads],
    }
    text = _summary(bench, overloads, machine)
    print(text)
    _write(document, text, quick, publish)
    return 0


def _summary(bench: Bench, overloads: list[Overload], machine: dict[str, Any]) -> str:
    parts = [
        f"{machine['cores']} cores, {machine['cpu']}, Python {machine['python']}; before the run, everything else "
        f"on the machine took {machine['others']:.2f} cores"
        + "".join(f"\n\n{system} was left out: {reason}" for system, reason in bench.failures.items()),
        report.verdicts(bars(bench.cells, overloads)),
        report.ratios(bench.cells),
        report.rates(bench.cells),
        report.latencies(bench.cells),
        report.cpu(bench.cells, (ONE, MANY, ALONE, RAW)),
    ]
    if overloads:
        parts.append(report.overloads(overloads))
    return "\n\n".join(parts) + "\n"


def _write(document: dict[str, Any], text: str, quick: bool, publish: bool) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    stem = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{'quick' if quick else 'full'}"
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    plots = [str(infinity.ENVIRONMENT / "bin/python"), str(ROOT / "bench" / "plots.py"), str(stem.with_suffix(".json"))]
    drawn = Path(plots[0]).exists() and subprocess.run([*plots, str(stem)], check=False).returncode == 0
    print(f"written: {stem}.json, {stem}.md{' and plots' if drawn else '; no plots'}", file=sys.stderr)
    if publish:
        target = ROOT / "docs" / "benchmarks"
        target.mkdir(exist_ok=True)
        shutil.copyfile(stem.with_suffix(".md"), target / "summary.md")
        shutil.copyfile(stem.with_suffix(".json"), target / "summary.json")
        for picture in RESULTS.glob(f"{stem.name}-*.png"):
            shutil.copyfile(picture, target / picture.name.removeprefix(f"{stem.name}-"))


if __name__ == "__main__":
    sys.exit(main())
