"""The processes that a system consists of, found by a mark in their environment; measured, paused and ended by id."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "EMBEDSERVE_BENCH_MARK"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
POLL_S = 0.1


@dataclass(frozen=True)
class Mark:
    """An environment variable that every process of one system inherits."""

    value: str = field(default_factory=lambda: uuid.uuid4().hex)

    def environment(self) -> dict[str, str]:
        """This process's environment with the mark in it."""
        return {**os.environ, VARIABLE: self.value}

    def pids(self) -> list[int]:
        """The processes that carry the mark now."""
        needle = f"{VARIABLE}={self.value}".encode()
        return [pid for pid in _all_pids() if needle in _read(pid, "environ").split(b"\0")]

    def signal(self, number: int) -> None:
        """Send a signal to each process."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self) -> None:
        """Stop all processes (SIGSTOP): they keep their memory and take no processor time."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them run again."""
        self.signal(signal.SIGCONT)

    def end(self, grace_s: float = 20) -> int:
        """End the processes that are left.

        Returns:
            How many did not end within ``grace_s`` and were killed.
        """
        self.thaw()
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while self.pids() and time.monotonic() < deadline:
            time.sleep(POLL_S)
        left = len(self.pids())
        self.signal(signal.SIGKILL)
        return left

    def niceness(self) -> set[int]:
        """Of its processes: whoever has a higher one gives way to the others."""
        return {os.getpriority(os.PRIO_PROCESS, pid) for pid in self.pids() if Path(f"/proc/{pid}").is_dir()}

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time so far, in seconds, by the processes' names."""
        totals: dict[str, float] = {}
        for pid in self.pids():
            label, seconds = name_of(pid), cpu_seconds_of(pid)
            totals[label] = totals.get(label, 0) + seconds
        return totals


def _all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended, or belongs to somebody else
        return b""


def cpu_seconds_of(pid: int) -> float:
    """Processor time of a process so far."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S if len(fields) > 12 else 0.0


def name_of(pid: int) -> str:
    """What to call a process: the title that Ray gives its workers, else the program or module that runs."""
    words = _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").split()
    if not words:
        return "gone"
    if words[0].startswith("ray::"):
        return words[0].removeprefix("ray::").split(".")[0].split("(")[0]
    program = Path(words[0]).name
    if program.startswith("python"):
        script = next((w for w in words[1:] if not w.startswith("-")), program)
        return Path(script).name
    return program
