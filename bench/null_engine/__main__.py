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

from bench.null_engine import decoder, encoder, gateway
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
    parser.add_argument("--role", choices=("decoder", "encoder", "gateway"), help=argparse.SUPPRESS)
    parser.add_argument("--modality", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "decoder":
        uvloop.run(decoder.serve())  # as Ray's workers do
    elif options.role == "encoder":
        uvloop.run(encoder.serve(options.modality, json.loads(sys.stdin.readline())))
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
        last = _start("decoder", load, started, None) if load.apart else None
        behind = _start("encoder", load, started, last)
        before = _start("gateway", load, started, behind)
        port = json.loads(_line(before))["port"]
        uvloop.run(run(load, port, WARM_S))
        began = [_spent(process.pid) for process in started]
        items = uvloop.run(run(load, port, seconds))
        ended = [_spent(process.pid) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    each = [[(b - a) / 1e3 / items for a, b in zip(x, y, strict=True)] for x, y in zip(began, ended, strict=True)]
    (loop, whole), (gateway_loop, gateway_whole) = each[-2:]
    bars = BARS[name]
    apart = f"; decoder's loop {each[0][0]:.1f} (bar {bars[0]}), its process {each[0][1]:.1f}" if load.apart else ""
    return (
        f"{name}: {items / seconds:,.0f}/s; µs an input: encoder's loop {loop:.1f} (bar {bars[0]}), its process {whole:.1f}; "
        f"gateway's loop {gateway_loop:.1f} (bar {bars[1]}), its process {gateway_whole:.1f}{apart}"
    )


def _start(
    role: str, load: Load, started: list[subprocess.Popen[str]], behind: subprocess.Popen[str] | None
) -> subprocess.Popen[str]:
    """A process that is told what the one behind it says of itself."""
    said = "null\n" if behind is None else _line(behind)
    command = [sys.executable, "-m", "bench.null_engine", "--role", role, "--modality", load.modality]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, **pipes)
    started.append(process)
    assert process.stdin is not None
    process.stdin.write(said)
    process.stdin.flush()
    return process


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
