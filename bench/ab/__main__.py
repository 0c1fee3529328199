"""Is this checkout faster or slower than another one? ``python -m bench.ab OTHER_CHECKOUT``.

The two services run by turns, never both at once, under the same closed loops. Each checkout needs a ``.venv`` of its
own and is driven through its command line and HTTP alone, so the other one may be of any version. Models come from
each checkout's own store, or from ``EMBEDSERVE_MODELS`` for both. With ``--set`` the other one may be this checkout
under another environment: ``python -m bench.ab . --set EMBEDSERVE_INTERNALS=off``.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.ab.points import OTHER, THIS, Point, summary
from bench.ab.turns import VERSIONS, Turns
from bench.loads.load import ALONE, HITS, MANY, ONE, RAW, chosen
from bench.report.folder import result_path
from bench.report.machine import describe
from bench.report.quiet import quietness
from models.catalog.paths import ROOT

LOADS = (ONE, MANY, ALONE, HITS)  # unless others are asked for
PICTURES = (replace(RAW, clients=1), RAW, replace(RAW, clients=32))
ROUNDS, SECONDS = 5, 5
NOT_QUIET = 3  # exit status


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write bench/results/*-ab.json; the exit status is 3 when the machine was not quiet."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the service that runs is stopped on the way out
    begin, machine, other = time.monotonic(), describe(), options.other.resolve()
    given: list[str] = options.set

    def tell(message: str) -> None:
        print(f"[{time.monotonic() - begin:6.1f} s] {message}", file=sys.stderr, flush=True)

    turns = Turns(
        other, options.loads, options.precisions, options.seconds, tell, dict(pair.split("=", 1) for pair in given)
    )
    try:
        turns.run(options.rounds)
    finally:
        if turns.points:
            _report(turns.points, machine, {THIS: _commit(ROOT), OTHER: " ".join([_commit(other), *given])})
    return 0 if quietness(_others(turns.points))[0] else NOT_QUIET


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ab", description=__doc__)
    parser.add_argument("other", type=Path, help="the other checkout, with its own .venv")
    names = ", ".join(load.name for load in (*LOADS, *PICTURES))
    parser.add_argument("--loads", help=f"some of: {names}; separated by commas; by default those of texts")
    parser.add_argument("--precisions", default="int8,fp32", help=f"some of: {', '.join(VERSIONS)}; %(default)s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="each starts both services once; %(default)s")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each load; %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the other one")
    options = parser.parse_args(arguments)
    if not (options.other / ".venv/bin/embedserve").is_file():
        parser.error(f"{options.other} has no .venv/bin/embedserve; run its scripts/setup.sh first")
    if wrong := [pair for pair in options.set if "=" not in pair]:
        parser.error(f"--set takes NAME=VALUE, not {', '.join(wrong)}")
    options.precisions = options.precisions.split(",")
    unknown = [precision for precision in options.precisions if precision not in VERSIONS]
    if unknown:
        parser.error(f"no precision is called {', '.join(unknown)}; there are: {', '.join(VERSIONS)}")
    try:
        options.loads = chosen((*LOADS, *PICTURES), options.loads) if options.loads else LOADS
    except ValueError as error:
        parser.error(str(error))
    return options


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip() or "no commit"


def _others(points: Sequence[Point]) -> list[float]:
    return [point.others for point in points]


def _report(points: Sequence[Point], machine: dict[str, Any], commits: dict[str, str]) -> None:
    print(f"{THIS}: {commits[THIS]}; {OTHER}: {commits[OTHER]}\n\n{summary(points)}\n\n{quietness(_others(points))[1]}")
    print(f"{machine['cores']} cores, {machine['cpu']} ({' '.join(machine['flags'])}), Python {machine['python']}")
    path = result_path("ab.json")
    document = {"machine": machine, "commits": commits, "points": [asdict(point) for point in points]}
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(f"written: {path}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
