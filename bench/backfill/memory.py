"""The memory of a process with everything that it started."""

from __future__ import annotations

import threading
from pathlib import Path

LOOK_S = 0.5


class PeakMemory:
    """The largest sum of proportional set sizes that was seen, in MiB: what processes share counts once."""

    def __init__(self, pid: int) -> None:
        """Watch a process and its descendants."""
        self._pid = pid
        self.peak = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_S):
            self.peak = max(self.peak, sum(map(_size, [self._pid, *descendants(self._pid)])))


def descendants(pid: int) -> list[int]:
    """Children and their children; those that end meanwhile are left out."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        for file in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                children = [int(word) for word in file.read_text().split()]
            except OSError:
                continue
            found += children
            waiting += children
    return found


def command_line(pid: int) -> str:
    """What a process is; "" for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _size(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
