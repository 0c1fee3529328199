"""Processes that were started here, and theirs, whoever is their parent by now."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

VARIABLE = "RUN_OF_TESTS"  # in the environment of each of them
PATIENCE_S = 10  # in which one may end by itself once it is told to


class LeftProcesses:
    """Those that inherited an environment with a mark."""

    def __init__(self, number: int) -> None:
        """Tell them from those of others by ``number``."""
        self.mark = {VARIABLE: str(number)}

    def found(self) -> set[int]:
        """Those that run now."""
        wanted, found = f"{VARIABLE}={self.mark[VARIABLE]}".encode(), set()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
        return found

    def end(self) -> None:
        """End them, also those that others of them start meanwhile."""
        for ending in (signal.SIGTERM, signal.SIGKILL):
            until, told = time.monotonic() + PATIENCE_S, set[int]()
            while (found := self.found()) and time.monotonic() < until:
                for process in found - told:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, ending)
                told |= found
                time.sleep(0.1)
