"""The machine that measures."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

QUIET_S = 2
VECTOR_FLAGS = ("avx", "amx")  # the instructions that decide how fast int8 and fp32 products are


def describe() -> dict[str, Any]:
    """Processor, vector instructions, cores, Python, and how busy the machine is before anything is started."""
    information = Path("/proc/cpuinfo").read_text()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _line(information, "model name"),
        "flags": [flag for flag in _line(information, "flags").split() if flag.startswith(VECTOR_FLAGS)],
        "python": platform.python_version(),
        "others": round(_others(), 2),
    }


def _line(information: str, name: str) -> str:
    lines = (line for line in information.splitlines() if line.startswith(name))
    return next(lines, ": ?").partition(":")[2].strip()


def busy_s() -> float:
    """Processor time that the whole machine has spent on processes so far, and lost to other machines on its host.

    Interrupts are left out: under load most of them are the load's own network traffic.
    """
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    user, nice, system, _idle, _iowait, _irq, _softirq, steal = (int(field) for field in fields)
    return (user + nice + system + steal) / os.sysconf("SC_CLK_TCK")


def _others() -> float:
    """Cores that the rest of the machine takes before anything is started."""
    before = busy_s()
    time.sleep(QUIET_S)
    return (busy_s() - before) / QUIET_S
