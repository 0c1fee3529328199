"""What this machine's processor can do, as its kernel says it."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
FLAG_LINES = ("flags", "Features")  # of x86 and of ARM


@cache
def processor_flags() -> frozenset[str]:
    """The flags of the first processor, such as ``avx512_vnni``; empty where the kernel does not say."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    return flags_in(text)


def flags_in(cpuinfo: str) -> frozenset[str]:
    """The flags of the first processor that ``/proc/cpuinfo`` lists."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in FLAG_LINES:
            return frozenset(value.split())
    return frozenset()


def machine() -> str:
    """The architecture, such as ``x86_64``."""
    return platform.machine()
