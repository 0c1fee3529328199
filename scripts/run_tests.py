"""`make test`: the whole suite as five runs of pytest, of which two are under way at a time.

Tests that run services mostly wait and the others compute, so that both together take little longer than the longer of the two.
Every line is printed behind the name of its run. The last lines are what failed and the closing line of each run: whoever keeps only the
end of a log still reads what went wrong. A run that stands still is ended, and says where: first by a limit for each test, last by one for
all of them. Who ends this ends the runs, and whatever they started.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from scripts.left_processes import LeftProcesses

SLOW_LINKS = "tests/slow_links"
SERVICES = ["tests/faults", "tests/integration", SLOW_LINKS]
ASKED, CLUSTER = "tests/integration/as_shipped", "tests/integration/test_cluster.py"
ENDINGS = "tests/faults/test_endings.py"
ALONE = ["tests/integration/production", "tests/integration/test_seams_off.py"]  # with a service that nobody shares
NAME_WIDTH = 7
FAILURE_CHARS = 300  # of one failed test's line at the end
FAILURES = ("FAILED tests", "ERROR tests")  # how pytest's short summary begins a line
CLOSING = re.compile(r"=+ .*\b(passed|failed|error|errors|no tests ran|deselected)\b.* in \d.*=+")  # pytest's last line
FAILED = re.compile(r"\b\d+ (failed|errors?)\b")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LIMIT_S = 50 * 60  # for everything, which takes a third of that on two cores
FAREWELL_S = 60  # from pytest's last line to its end: fixtures are done by then
GOODBYE_S = 60  # from an interrupt to pytest's end: its fixtures stop their services
LEFT = LeftProcesses(os.getpid())
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LAST_WORDS_S = 10  # from pytest's end to that of what it wrote
STUCK_S = 420  # one test; pytest-timeout's 300 s come first, unless it stands still outside Python
PYTEST = [
    "pytest",
    "--durations=12",
    "-o",
    f"faulthandler_timeout={STUCK_S}",
    "-o",
    "faulthandler_exit_on_timeout=true",
]


@dataclass
class Run:
    """One pytest; what no path of another run names is somewhere in ``units`` or ``changed``."""

    name: str
    arguments: list[str]
    niceness: int = 0
    status: int | None = None
    closing: str = "did not run"
    failures: list[str] = field(default_factory=list)
    over: bool = False  # pytest has written its last line
    process: subprocess.Popen[str] | None = field(default=None, repr=False)
    interrupted: float = math.inf  # when, by the monotonic clock
    # Recursive, because a second signal may come in the first one's handler.
    _starting: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def run(self, until: float) -> None:
        """Run it to its end, or to an instant of the monotonic clock, printing what it says."""
        command = [
            "nice",
            "-n",
            str(self.niceness),
            sys.executable,
            "-X",
            "faulthandler",
            "-m",
            *PYTEST,
            *self.arguments,
        ]
        if sys.stdout.isatty():
            command.append("--color=yes")
        begin = time.monotonic()
        # Without the number pytest cuts the lines of its summary to 80 characters.
        environment = os.environ | {"BUILD_NUMBER": "0"} | LEFT.mark
        with self._starting:
            if self.interrupted < math.inf:
                return
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=environment,
                process_group=0,  # a terminal's Ctrl-C would come a second time, and break off the fixtures' end
            )
        assert self.process.stdout is not None
        reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        reader.start()
        self.status = self._ended(self.process, until)
        reader.join(LAST_WORDS_S)
        if reader.is_alive():  # a process that a test forked holds the other end
            self._end_holders(self.process.stdout.fileno())
            reader.join(LAST_WORDS_S)
        self.closing += f" (exit status {self.status}, {time.monotonic() - begin:.0f} s)"

    def interrupt(self) -> None:
        """Let its fixtures stop their services; the second time it is ended at once."""
        with self._starting:
            again, self.interrupted = self.interrupted < math.inf, min(self.interrupted, time.monotonic())
            if self.process is not None and self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL if again else signal.SIGINT)

    def _read(self, output: TextIO) -> None:
        for line in output:
            print(f"{self.name:{NAME_WIDTH}} | {line}", end="", flush=True)
            plain = COLOURS.sub("", line).strip()
            if not self.over:
                self.closing = line.strip(" =\n") or self.closing
                self.over = bool(CLOSING.fullmatch(plain))
            if plain.startswith(FAILURES):
                self.failures.append(plain[:FAILURE_CHARS])

    def _ended(self, process: subprocess.Popen[str], until: float) -> int:
        """Its exit status; it is ended where it does not end, with where each of its threads stands."""
        over = math.inf
        while (status := process.poll()) is None:
            now = time.monotonic()
            if self.over:
                over = min(over, now)
            if now > min(until, over + FAREWELL_S, self.interrupted + GOODBYE_S):
                break
            time.sleep(0.2)
        if status is not None:
            return status
        process.send_signal(signal.SIGABRT)  # pytest writes the stacks
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        self.failures.append(f"STOOD STILL{' after its last test' if self.over else ''}; its stacks are above")
        status = process.wait()
        return 0 if self.over and not FAILED.search(self.closing) else status

    def _end_holders(self, output: int) -> None:
        """End whoever keeps the other end of our pipe open, and say who it was."""
        pipe = os.readlink(f"/proc/self/fd/{output}")
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if int(folder.name) != os.getpid() and any(os.readlink(fd) == pipe for fd in folder.glob("fd/*")):
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    self.failures.append(f"LEFT BEHIND process {folder.name}: {words}"[:FAILURE_CHARS])
                    os.kill(int(folder.name), signal.SIGKILL)


# What only computes takes the time that the others leave, and a tenth at least: at niceness 19 it would stand still for
# seconds. Tests of services wait with a time limit, it does not. One run of services at a time: beside each other, on two
# cores, HAProxy misses its health checks and is started anew. Both lanes take 17 minutes.
UNITS = Run("units", ["tests", *(f"--ignore={path}" for path in SERVICES)], niceness=10)
LANES = [
    [UNITS],
    [
        Run("cluster", [CLUSTER]),
        Run("changed", ["tests/integration", *(f"--ignore={path}" for path in (ASKED, CLUSTER, *ALONE))]),
        Run("asked", ["tests/faults", f"--ignore={ENDINGS}", ASKED]),
        Run("links", [SLOW_LINKS, ENDINGS, *ALONE]),
    ],
]


def main() -> int:
    """Run everything; 0 when all of it passed."""
    runs = [run for lane in LANES for run in lane]
    stopping = threading.Event()
    until = time.monotonic() + LIMIT_S

    def in_turn(lane: list[Run]) -> None:
        for run in lane:
            if not stopping.is_set():
                run.run(until)

    def stop(*_: object) -> None:
        stopping.set()
        for run in runs:
            run.interrupt()

    threads = [threading.Thread(target=in_turn, args=(lane,)) for lane in LANES]
    for ending in STOPS:
        signal.signal(ending, stop)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if stopping.is_set():
        LEFT.end()
    print()
    for run in runs:
        for line in (*run.failures, run.closing):
            print(f"{run.name:{NAME_WIDTH}} | {line}")
    return 0 if all(run.status == 0 for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
