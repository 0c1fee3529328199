"""Measures inputs in this process, which may be killed for it.

Prints a line of JSON for each input over its budget, and one with the dearest of all.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import time
import warnings
from pathlib import Path

from models.errors import InputError
from tests.costs.inputs import input_of
from tests.costs.parsers import PARSERS, Parser

ALONE_S = 120  # after which the process is ended, whatever it does
LIBC = ctypes.CDLL(None)
TRIES = 3  # of an input that is over its budget, of which the best counts: another process may have been in the way


def resident(key: str) -> int:
    """Bytes in memory, or the most there have been."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def cost_of(parser: Parser, data: bytes) -> tuple[float, int]:
    """Processor seconds and bytes of memory that reading ``data`` takes."""
    LIBC.malloc_trim(0)  # what earlier inputs freed would hide what this one takes
    Path("/proc/self/clear_refs").write_text("5")  # forget the most there have been
    before, began = resident("VmRSS"), time.process_time()
    with contextlib.suppress(InputError):
        parser.read(data)
    return time.process_time() - began, resident("VmHWM") - before


def main(name: str, first: int, count: int, progress: Path) -> None:
    """Measure the inputs of ``count`` seeds."""
    warnings.simplefilter("ignore")
    parser = PARSERS[name]
    for seed in range(3):  # what is loaded at the first use belongs to no input
        cost_of(parser, input_of(name, seed))
    dearest = {"seconds": 0.0, "taken": 0, "bytes": 0}
    file = os.open(progress, os.O_WRONLY | os.O_CREAT)
    for seed in range(first, first + count):
        os.pwrite(file, b"%20d" % seed, 0)
        data = input_of(name, seed)
        signal.alarm(ALONE_S)
        seconds, taken = cost_of(parser, data)
        why = parser.budget.over(len(data), seconds, taken)
        for _ in range(TRIES if why else 0):
            gc.collect()
            again = cost_of(parser, data)
            seconds, taken = min(seconds, again[0]), min(taken, again[1])
            why = parser.budget.over(len(data), seconds, taken)
        signal.alarm(0)
        if why:
            print(json.dumps({"parser": name, "seed": seed, "over": why, "begins": data[:60].hex()}), flush=True)
        if seconds > dearest["seconds"]:
            dearest |= {"seconds": seconds, "bytes": len(data)}
        dearest["taken"] = max(dearest["taken"], taken)
    print(json.dumps({"parser": name, "measured": count, **dearest}), flush=True)
