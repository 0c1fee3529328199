"""Processor time of each event loop for one picture and one text, beside an engine that waits as long as a card computes.

python -m bench.null_engine [--seconds 5] [--load NAME]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import uvloop

from bench.null_engine import encoder, gateway
from bench.null_engine.load import LOADS, Load, run

# Microseconds of processor time for an input: on the encoder's event loop, and on the gateway's.
BARS = {
    name: (7, 20) if load.modality == "text" else (40, 150 if load.items == 1 else 60) for name, load in LOADS.items()
}
WARM_S = 1.0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--load", choices=LOADS, help="one alone")
    parser.add_argument("--role", choices=("encoder", "gateway"), help=argparse.SUPPRESS)
    parser.add_argument("--modality", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "encoder":
        uvloop.run(encoder.serve(options.modality))  # as Ray's workers do
    elif options.role == "gateway":
        uvloop.run(gateway.serve(options.modality, json.loads(sys.stdin.readline())))
    else:
        for name, load in LOADS.items():
            if options.load in (None, name):
                print(measured(name, load, options.seconds), flush=True)
    return 0


def measured(name: str, load: Load, seconds: float) -> str:
    """What one load cost, as a line."""
    started: list[subprocess.Popen[str]] = []
    try:
        behind = _start("encoder", load.modality, started)
        said = json.loads(_line(behind))
        before = _start("gateway", load.modality, started)
        assert before.stdin is not None
        before.stdin.write(json.dumps(said) + "\n")
        before.stdin.flush()
        port = json.loads(_line(before))["port"]
        uvloop.run(run(load, port, WARM_S))
        began = [_spent(process.pid) for process in (behind, before)]
        items = uvloop.run(run(load, port, seconds))
        ended = [_spent(process.pid) for process in (behind, before)]
    finally:
        for process in started:
            process.kill()
            process.wait()
    each = [[(b - a) / 1e3 / items for a, b in zip(x, y, strict=True)] for x, y in zip(began, ended, strict=True)]
    (loop, whole), (gateway_loop, gateway_whole) = each
    bars = BARS[name]
    return (
        f"{name}: {items / seconds:,.0f}/s; µs an input: encoder's loop {loop:.1f} (bar {bars[0]}), its process {whole:.1f}; "
        f"gateway's loop {gateway_loop:.1f} (bar {bars[1]}), its process {gateway_whole:.1f}"
    )


def _start(role: str, modality: str, started: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "bench.null_engine", "--role", role, "--modality", modality]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started.append(subprocess.Popen(command, text=True, **pipes))
    return started[-1]


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith("{"):
        if not line:
            raise RuntimeError(f"{process.args!r} ended")
    return line


def _spent(pid: int) -> tuple[int, int]:
    """Nanoseconds of processor time of a process's first thread, which has the event loop, and of all its threads."""
    tasks = {
        int(task.name): int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()
    }
    return tasks[pid], sum(tasks.values())


if __name__ == "__main__":
    sys.exit(main())
