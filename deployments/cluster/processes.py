"""Processes of this machine: who descends from whom, and ending all that descend from this one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of linux/prctl.h
END_S = 10.0  # a killed process is gone in milliseconds, unless the kernel itself waits for a disk
POLL_S = 0.02


def adopt_orphans(adopt: bool = True) -> None:
    """Become the parent of every descendant whose own parent ends, so that none of them is lost; or no longer."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SUBREAPER, int(adopt), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def parents() -> dict[int, int]:
    """The parent of each process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _stat(int(folder.name))):
            found[int(folder.name)] = int(fields[1])
    return found


def session_of(pid: int) -> int | None:
    """The session that a process belongs to; None when it is gone."""
    fields = _stat(pid)
    return int(fields[3]) if fields else None


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to look."""
    fields = _stat(pid)
    return not fields or fields[0] == "Z"


def how_it_ended(pid: int) -> str:
    """In words, how a process ended that is gone, or whose parent has not looked yet."""
    fields = _stat(pid)
    if not fields or fields[0] != "Z":
        return "ended"
    return in_words(os.waitstatus_to_exitcode(int(fields[-1])))


def in_words(status: int) -> str:
    """An exit status as Python has it: below 0 it is the number of a signal."""
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"


def open_files(pid: int) -> set[str]:
    """Paths of a process' open files, and sockets as ``socket:[inode]``; nothing where this user may not look."""
    found = set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                found.add(os.readlink(link))
    return found


def children_of(pid: int) -> set[int]:
    """The processes that a process started or adopted."""
    return {child for child, parent in parents().items() if parent == pid}


def descendants(pid: int, spare: Collection[int] = ()) -> set[int]:
    """All processes below one, without those in ``spare`` and what is below them."""
    tree = parents()
    found: set[int] = set()
    level = {pid}
    while level := {child for child, parent in tree.items() if parent in level} - found - set(spare):
        found |= level
    return found


def end_all(spare: Collection[int] = (), within_s: float = END_S) -> set[int]:
    """Kill everything below this process and wait until it is gone; needs ``adopt_orphans``.

    Args:
        spare: children of this process to leave alone, with all that is below them.
        within_s: how long to wait for killed processes.

    Returns:
        Those that are still there: only ones that the kernel itself cannot end now.
    """
    deadline = time.monotonic() + within_s
    while left := descendants(os.getpid(), spare):
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        reap(left)
        if time.monotonic() > deadline:
            return left
        time.sleep(POLL_S)
    return set()


def reap(pids: Collection[int]) -> None:
    """Let ended children go."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _stat(pid: int) -> list[str]:
    """State, parent, group, session and so on of a process; nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
