"""``python -m bench``: this service beside the bare model and its peers, in one run and one table."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import profile
from bench.comparison import overload
from bench.comparison.runner import Bench, Tell
from bench.loads.load import Plan, full_plan, quick_plan
from bench.report import plots, published, tables
from bench.report.bars import ALONE, MANY, ONE, RAW, bars, rate
from bench.report.folder import result_path
from bench.report.machine import describe
from bench.report.quiet import quietness, unfair
from bench.report.results import Overload
from bench.systems.ours import measured
from bench.systems.targets import STARTERS
from models.catalog.store import pull

NOT_PUBLISHED = 3  # exit status


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write JSON, Markdown and plots."""
    options = _options(arguments)
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing; install it, on Debian with `apt-get install wrk`")
    if options.profile:
        return profile.run()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the systems are stopped on the way out
    begin = time.monotonic()

    def tell(message: str) -> None:
        print(f"[{time.monotonic() - begin:6.1f} s] {message}", file=sys.stderr, flush=True)

    machine = describe()
    for spec in measured():
        pull(spec, allow_synthetic=True)
    bench = Bench(Path(tempfile.mkdtemp(prefix="bench-")), options.systems, tell)
    overloads, killed = _measure(bench, options.plan, tell)
    document: dict[str, Any] = {
        "machine": machine,
        "quick": options.quick,
        "seconds": time.monotonic() - begin,
        "killed": killed,
        "left_out": bench.failures,
        "niceness": bench.niceness,
        "cells": [cell.document() for cell in bench.cells.values()],
        "bars": [{**bar.__dict__, "verdict": bar.verdict} for bar in bars(bench.cells, overloads)],
        "overloads": [one.document() for one in overloads],
    }
    text = _summary(bench, overloads, machine)
    print(text)
    refused = _why_not(bench) if options.publish else []
    _write(document, text, options.quick, options.publish and not refused)
    if refused:
        print("not published: " + "; ".join(refused), file=sys.stderr)
    return NOT_PUBLISHED if refused else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the loads that have a bar, briefly")
    parser.add_argument("--systems", default=",".join(STARTERS), help="some of: %(default)s")
    parser.add_argument("--loads", help='some loads, by name and separated by commas: "text 1x13 c32,overload"')
    parser.add_argument("--publish", action="store_true", help="keep the summary and plots in docs/")
    parser.add_argument("--profile", action="store_true", help="where a one-text request spends its time, instead")
    options = parser.parse_args(arguments)
    options.systems = options.systems.split(",")
    unknown = [system for system in options.systems if system not in STARTERS]
    if unknown:
        parser.error(f"no system is called {', '.join(unknown)}; there are: {', '.join(STARTERS)}")
    if options.publish and options.loads:
        parser.error("--publish keeps whole runs: leave --loads out")
    options.plan = quick_plan() if options.quick else full_plan()
    try:
        options.plan = options.plan.only(options.loads) if options.loads else options.plan
    except ValueError as error:
        parser.error(str(error))
    return options


def _measure(bench: Bench, plan: Plan, tell: Tell) -> tuple[list[Overload], dict[str, int]]:
    """Start the systems, measure, and stop them: the overloads, and how many processes of each system were killed."""
    overloads: list[Overload] = []
    try:
        bench.start()
        bench.measure(plan)
        for target in bench.targets:
            if plan.overload and target.name == "ours int8" and target.modality == "text":
                closed = rate(bench.cells, ONE, target.name)
                overloads.append(overload.measure(bench, target, closed, plan, tell))
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave servers behind
        killed = bench.stop()
        tell(f"stopped; killed: {killed}")
    return overloads, killed


def _why_not(bench: Bench) -> list[str]:
    """What makes the results unfit to publish."""
    quiet, sentence = quietness(_others(bench))
    return [*([] if quiet else [sentence]), *([reason] if (reason := unfair(bench.niceness)) else [])]


def _others(bench: Bench) -> list[float]:
    return [cores for cell in bench.cells.values() for cores in cell.others]


def _circumstances(bench: Bench, machine: dict[str, Any]) -> str:
    others = f"everything else on the machine took {machine['others']:.2f} cores before the run"
    remarks = [others, f"while it measured, {quietness(_others(bench))[1]}", unfair(bench.niceness)]
    processor = f"{machine['cores']} cores, {machine['cpu']} ({' '.join(machine['flags'])}), Python {machine['python']}"
    return "; ".join([processor, *filter(None, remarks)])


def _summary(bench: Bench, overloads: list[Overload], machine: dict[str, Any]) -> str:
    parts = [
        _circumstances(bench, machine)
        + "".join(f"\n\n{system} was left out: {reason}" for system, reason in bench.failures.items()),
        tables.verdicts(bars(bench.cells, overloads)),
        tables.ratios(bench.cells),
        tables.rates(bench.cells),
        tables.latencies(bench.cells),
        tables.cpu(bench.cells, (ONE, MANY, ALONE, RAW)),
    ]
    if overloads:
        parts.append(tables.overloads(overloads))
    return "\n\n".join(parts) + "\n"


def _write(document: dict[str, Any], text: str, quick: bool, publish: bool) -> None:
    stem = result_path("quick" if quick else "full")
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    pictures = plots.draw(document, stem)
    print(f"written: {stem}.json, {stem}.md and {len(pictures)} plots", file=sys.stderr)
    if publish:
        print(f"published: {published.publish(stem, pictures, document['machine'])}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
