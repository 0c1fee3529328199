"""Whether the Ray of a job is still there: without it Ray's own driver waits a minute, and then ends without a word."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

AGAIN = "what is in the sink stays, and the same command goes on from there"
LOOK_S = 0.5
NEEDED = ("gcs_server", "raylet")  # the processes without which there is no Ray
_STOPPED = threading.Event()


def start() -> None:
    """Watch the Ray that this process has just started; when it ends, say so and end this process with exit code 1."""
    pids = [pid for pid in _children() if _name(pid) in NEEDED]
    _STOPPED.clear()
    threading.Thread(target=_watch, args=(pids,), name="own-ray", daemon=True).start()


def stop() -> None:
    """It may end from now on."""
    _STOPPED.set()


def _watch(pids: list[int]) -> None:
    while not _STOPPED.wait(LOOK_S):
        if not all(_name(pid) in NEEDED and _state(pid) != "Z" for pid in pids):
            if not _STOPPED.is_set():
                print(f"error: Ray ended by itself; {AGAIN}", file=sys.stderr, flush=True)
                os._exit(1)  # the main thread waits in Ray's own code, which no exception reaches
            return


def _children() -> list[int]:
    files = Path("/proc/self/task").glob("*/children")
    return [int(pid) for file in files for pid in file.read_text().split()]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
