"""Processor time of each event loop for one picture and one text, beside an engine that waits as long as a card computes.

python -m bench.null_engine [--seconds 5] [--load NAME] [--floor]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvloop

from bench.null_engine import decoder, encoder, floor, gateway
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
    parser.add_argument("--floor", action="store_true", help="also what the same server takes to read, hash and answer")
    parser.add_argument("--role", choices=("decoder", "encoder", "floor", "gateway"), help=argparse.SUPPRESS)
    parser.add_argument("--modality", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "decoder":
        uvloop.run(decoder.serve())  # as Ray's workers do
    elif options.role == "encoder":
        uvloop.run(encoder.serve(options.modality, json.loads(sys.stdin.readline())))
    elif options.role == "gateway":
        uvloop.run(gateway.serve(options.modality, json.loads(sys.stdin.readline())))
    elif options.role == "floor":
        uvloop.run(floor.serve(options.modality, json.loads(sys.stdin.readline())["items"]))
    else:
        for name, load in LOADS.items():
            if options.load in (None, name):
                print(measured(name, load, options.seconds), flush=True)
                if options.floor and not load.apart:
                    print(f"    {at_least(load, options.seconds)}", flush=True)
    return 0


def measured(name: str, load: Load, seconds: float) -> str:
    """What one load cost, as a line."""
    with _processes() as started:
        said = _started("decoder", load, started, "null") if load.apart else "null"
        port = _started("gateway", load, started, _started("encoder", load, started, said))
        each, rate = _under_load(load, port, started, seconds)
    (loop, whole), (gateway_loop, gateway_whole) = each[-2:]
    bars = BARS[name]
    apart = f"; decoder's loop {each[0][0]:.1f} (bar {bars[0]}), its process {each[0][1]:.1f}" if load.apart else ""
    return (
        f"{name}: {rate:,.0f}/s; µs an input: encoder's loop {loop:.1f} (bar {bars[0]}), its process {whole:.1f}; "
        f"gateway's loop {gateway_loop:.1f} (bar {bars[1]}), its process {gateway_whole:.1f}{apart}"
    )


def at_least(load: Load, seconds: float) -> str:
    """What a gateway of this load cannot do without, as a line."""
    with _processes() as started:
        port = _started("floor", load, started, json.dumps({"items": load.items}))
        (((loop, _),), _) = _under_load(load, port, started, seconds)
    return f"floor: reading, {'parsing' if load.modality == 'text' else 'hashing'} and answering alone {loop:.1f}"


@contextlib.contextmanager
def _processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def _under_load(
    load: Load, said: str, started: list[subprocess.Popen[str]], seconds: float
) -> tuple[list[list[float]], float]:
    """For each process microseconds an input, of its loop and of all of it; and inputs a second."""
    port = json.loads(said)["port"]
    uvloop.run(run(load, port, WARM_S))
    began = [_spent(process.pid) for process in started]
    items = uvloop.run(run(load, port, seconds))
    ended = [_spent(process.pid) for process in started]
    each = [[(b - a) / 1e3 / items for a, b in zip(x, y, strict=True)] for x, y in zip(began, ended, strict=True)]
    return each, items / seconds


def _started(role: str, load: Load, started: list[subprocess.Popen[str]], told: str) -> str:
    """Start a process, tell it what the one behind it says of itself, and wait for what it says."""
    command = [sys.executable, "-m", "bench.null_engine", "--role", role, "--modality", load.modality]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, **pipes)
    started.append(process)
    assert process.stdin is not None
    process.stdin.write(told.strip() + "\n")
    process.stdin.flush()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            return str(line)
    raise RuntimeError(f"{process.args!r} ended")


def _spent(pid: int) -> tuple[int, int]:
    """Nanoseconds of processor time of a process's first thread, which has the event loop, and of all its threads."""
    tasks = {
        int(task.name): int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()
    }
    return tasks[pid], sum(tasks.values())


if __name__ == "__main__":
    sys.exit(main())
