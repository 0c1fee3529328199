"""What each folder's tests took, as the last lines of a run say: where to look when the suite has become slow."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import PurePath

import pytest

SHOWN = 8  # the slowest folders
DEPTH = 3  # as in tests/deployments/gateway


class TimeByFolder:
    """A plugin of pytest: seconds, and processor seconds of this process and of those it waited for, by folder."""

    def __init__(self) -> None:
        self.collected_s = 0.0
        self._seconds: dict[str, float] = defaultdict(float)
        self._worked: dict[str, float] = defaultdict(float)
        self._before = worked_s()

    def pytest_collection_finish(self) -> None:
        now = worked_s()
        self.collected_s, self._before = now - self._before, now

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        folder = "/".join(PurePath(report.nodeid.partition("::")[0]).parent.parts[:DEPTH])
        now = worked_s()
        self._seconds[folder] += report.duration
        self._worked[folder] += now - self._before
        self._before = now

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        slowest = sorted(self._seconds, key=self._seconds.__getitem__, reverse=True)[:SHOWN]
        if len(self._seconds) > 1:
            terminalreporter.section("slowest folders: seconds, and seconds of processor")
            terminalreporter.write_line(f"{'':7} {self.collected_s:7.1f} before the first test")
            for folder in slowest:
                terminalreporter.write_line(f"{self._seconds[folder]:7.1f} {self._worked[folder]:7.1f} {folder}")


def worked_s() -> float:
    """Processor seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
