"""Whether the Ray of a job is still there: without it Ray's own driver waits a minute, and then ends without a word."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

AGAIN = "what is in the sink stays, and the same command goes on from there"
LOOK_S = 0.5
NEEDED = ("gcs_server", "raylet")  # the processes without which there is no Ray, also while it starts


def start() -> threading.Event:
    """Watch the Ray that this process starts from now on; when it ends, say so and end this process with exit code 1.

    Returns:
        What is to be set when it may end.
    """
    over = threading.Event()
    threading.Thread(target=_watch, args=(_children(), over), name="own-ray", daemon=True).start()
    return over


def _watch(others: set[int], over: threading.Event) -> None:
    found: dict[int, str] = {}
    while not over.wait(LOOK_S):
        if len(found) < len(NEEDED):
            found |= {pid: name for pid in _children() - others if (name := _name(pid)) in NEEDED}
        ended = [name for pid, name in found.items() if _name(pid) != name or _state(pid) == "Z"]
        if ended and not over.is_set():
            print(f"error: Ray ended by itself ({' and '.join(ended)}); {AGAIN}", file=sys.stderr, flush=True)
            os._exit(1)  # the main thread waits in Ray's own code, which no exception reaches


def _children() -> set[int]:
    files = Path("/proc/self/task").glob("*/children")
    return {int(pid) for file in files for pid in file.read_text().split()}


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
