"""The process behind a claim: where it ran on this machine and has ended, its claim holds nobody up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
# Place of a process's start behind its state in /proc/PID/stat; its number alone may be given to another one.
STARTED: Final = 19


def signature(pid: int | None = None) -> str:
    """What tells a process from every other one, on this machine and elsewhere; empty where the system does not say it.

    Args:
        pid: this process's own unless given.
    """
    pid = pid or os.getpid()
    try:
        boot = BOOT.read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
        started = _started(pid)
    except OSError:
        return ""
    return f"{boot}/{space}/{pid}/{started}"


def has_ended(signed: str) -> bool:
    """Whether a process that signed so ran here and is gone; not where nobody here can know."""
    parts = signed.split("/")
    mine = signature().split("/")
    if len(parts) != len(mine) or parts[:2] != mine[:2] or not parts[2].isdecimal():
        return False
    try:
        return _started(int(parts[2])) != parts[3]
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; nothing of one that has ended and only waits for its parent."""
    state, *rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return "" if state in "ZX" else rest[STARTED - 1]
