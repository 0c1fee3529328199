"""How many cores this machine lets us use.

More threads than a container's quota allows are stopped by the kernel in the middle of a run, all at once.
"""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of processor time, and in how many


@cache
def usable_cores(quota: Path = QUOTA) -> int:
    """The cores that this process may run on, or what its container's quota comes to where that is less; at least 1."""
    cores = len(os.sched_getaffinity(0))
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if allowed == "max" else max(1, min(cores, math.ceil(int(allowed) / int(period))))
