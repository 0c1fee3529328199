"""`make test`: the whole suite as five runs of pytest, of which two are under way at a time.

Tests that run services mostly wait and the others compute, so that both together take little longer than the longer of the two.
Every line is printed behind the name of its run. The last lines are what failed and the closing line of each run: whoever keeps only the
end of a log still reads what went wrong.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

SLOW_LINKS = "tests/slow_links"
SERVICES = ["tests/faults", "tests/integration", SLOW_LINKS]
ASKED, CLUSTER = "tests/integration/as_shipped", "tests/integration/test_cluster.py"
ENDINGS = "tests/faults/test_endings.py"
NAME_WIDTH = 7
FAILURE_CHARS = 300  # of one failed test's line at the end
FAILURES = ("FAILED tests", "ERROR tests")  # how pytest's short summary begins a line
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Run:
    """One pytest; what no path of another run names is somewhere in ``units`` or ``changed``."""

    name: str
    arguments: list[str]
    niceness: int = 0
    status: int | None = None
    closing: str = "did not run"
    failures: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def run(self) -> None:
        """Run it to its end, printing what it says."""
        command = ["nice", "-n", str(self.niceness), sys.executable, "-m", "pytest", "--durations=12", *self.arguments]
        if sys.stdout.isatty():
            command.append("--color=yes")
        begin = time.monotonic()
        environment = os.environ | {
            "BUILD_NUMBER": "0"
        }  # without it pytest cuts the lines of its summary to 80 characters
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            print(f"{self.name:{NAME_WIDTH}} | {line}", end="", flush=True)
            self.closing = line.strip(" =\n") or self.closing
            plain = COLOURS.sub("", line).strip()
            if plain.startswith(FAILURES):
                self.failures.append(plain[:FAILURE_CHARS])
        self.status = self.process.wait()
        self.closing += f" (exit status {self.status}, {time.monotonic() - begin:.0f} s)"


# What only computes takes the time that the others leave, and a tenth at least: at niceness 19 it would stand still for
# seconds. Tests of services wait with a time limit, it does not. One run of services at a time while anything computes:
# beside each other, on two cores, HAProxy misses its health checks and is started anew. When the unit tests are over,
# the first lane takes what needs a service of its own or none.
UNITS = Run("units", ["tests", *(f"--ignore={path}" for path in SERVICES)], niceness=10)
LANES = [
    [UNITS, Run("links", [SLOW_LINKS, ENDINGS])],
    [
        Run("cluster", [CLUSTER]),
        Run("changed", ["tests/integration", f"--ignore={ASKED}", f"--ignore={CLUSTER}"]),
        Run("asked", ["tests/faults", f"--ignore={ENDINGS}", ASKED]),
    ],
]


def main() -> int:
    """Run everything; 0 when all of it passed."""
    runs = [run for lane in LANES for run in lane]
    stopping = threading.Event()

    def in_turn(lane: list[Run]) -> None:
        for run in lane:
            if not stopping.is_set():
                run.run()

    def stop(*_: object) -> None:
        """Interrupt what is under way: its fixtures stop their services."""
        stopping.set()
        for run in runs:
            if run.process is not None and run.process.poll() is None:
                run.process.send_signal(signal.SIGINT)

    threads = [threading.Thread(target=in_turn, args=(lane,)) for lane in LANES]
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, lambda *_: stopping.set())  # a terminal interrupts the runs themselves
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print()
    for run in runs:
        for line in (*run.failures, run.closing):
            print(f"{run.name:{NAME_WIDTH}} | {line}")
    return 0 if all(run.status == 0 for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
