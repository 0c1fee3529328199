"""What a measurement ran on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

QUIET_S = 2


def describe() -> dict[str, Any]:
    """Processor, cores, Python, and how busy the machine is before anything is started."""
    cpu = next((s for s in Path("/proc/cpuinfo").read_text().splitlines() if s.startswith("model name")), ": ?")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": cpu.partition(":")[2].strip(),
        "python": platform.python_version(),
        "others": round(_others(), 2),
    }


def _others() -> float:
    """Cores that the rest of the machine takes before anything is started."""

    def busy() -> float:
        ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")

    before = busy()
    time.sleep(QUIET_S)
    return (busy() - before) / QUIET_S
