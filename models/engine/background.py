"""Work that nobody waits for: its threads compute when no other wants their core."""

from __future__ import annotations

import os
import sys
import threading

# A thirtieth of a core where another thread wants all of it: whoever waits for an answer finds a core, however long the run is
# that is under way, and a thread that holds Python's lock still comes to its end, also beside another program that takes every
# core. One text beside two such threads took 11 ms in p95; beside two ordinary ones 16 ms, and alone 5 ms.
NICE = 15
_THREAD = threading.local()


def enter() -> None:
    """Make the calling thread one of the background, for good: it leaves the engine's first session, and cores, to others."""
    _THREAD.background = True
    if sys.platform == "linux":  # elsewhere it would be the whole process
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))


def here() -> bool:
    """Whether the calling thread is one of the background."""
    return getattr(_THREAD, "background", False)
