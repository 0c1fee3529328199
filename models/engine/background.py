"""Work that nobody waits for: its threads compute when no other wants their core."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
import threading

# A thirtieth of a core where another thread wants all of it: whoever waits for an answer finds a core, however long the run is
# that is under way, and a thread that holds Python's lock still comes to its end, also beside another program that takes every
# core. One text beside two such threads took 11 ms in p95; beside two ordinary ones 16 ms, and alone 5 ms.
NICE = 15
# The longest that the kernel takes. A thread that wakes passes one with a longer slice at once, and not after the 1.4 to 3 ms that
# it otherwise waits, at each of the eight hand-overs of a request. Linux has such slices since 6.12; earlier ones ignore it.
SLICE_NS = 100_000_000
SET_ATTRIBUTES = {
    "x86_64": 314,
    "aarch64": 274,
}  # the number of sched_setattr, for which neither Python nor glibc has a name
ATTRIBUTES = struct.Struct("<IIQiIQQQII")  # size, policy, flags, nice, priority, runtime, deadline, period, two clamps
_THREAD = threading.local()


def enter() -> None:
    """Make the calling thread one of the background, for good: it leaves the engine's first session, and cores, to others."""
    _THREAD.background = True
    if sys.platform == "linux":  # elsewhere it would be the whole process
        thread = threading.get_native_id()
        nice = max(NICE, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, nice)
        _yield_at_once(nice)


def here() -> bool:
    """Whether the calling thread is one of the background."""
    return getattr(_THREAD, "background", False)


def _yield_at_once(nice: int) -> None:
    """Batch work with long slices, where the kernel takes that; a sandbox that does not leaves it at its niceness."""
    number = SET_ATTRIBUTES.get(platform.machine())
    if number is None:
        return
    asked = ATTRIBUTES.pack(ATTRIBUTES.size, os.SCHED_BATCH, 0, nice, 0, SLICE_NS, 0, 0, 0, 0)
    ctypes.CDLL(None).syscall(number, 0, asked, 0)
