"""Whatever ends a supervisor or what it supervises, nothing of either is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.cluster.ports import listening_ports
from deployments.cluster.processes import adopt_orphans, children_of, descendants, end_all, has_ended, reap
from deployments.cluster.run_folder import PREFIX, clear_leftovers
from deployments.cluster.supervised import Supervised
from tests.integration.waiting import wait

FOUR = 4  # the supervised process, its two daemons, and nothing else but the supervisor


@dataclass
class Command:
    """A supervisor in a group of its own."""

    process: subprocess.Popen[str]
    folder: Path
    others: set[int]
    port: int = 0
    supervised: int = 0

    def group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def left(self) -> list[object]:
        below = descendants(os.getpid(), self.others)
        reap(below)
        ports = listening_ports() & {self.port}
        return [*below, *ports, *self.folder.glob(f"{PREFIX}*")]


def living(others: set[int]) -> set[int]:
    return {pid for pid in descendants(os.getpid(), others) if not has_ended(pid)}


@contextlib.contextmanager
def command(folder: Path, program: str, hangup: signal.Handlers = signal.SIG_DFL) -> Iterator[Command]:
    """Start one that inherits how a closed terminal is taken, whatever these tests themselves run under."""
    adopt_orphans()  # what loses its parent is found below this process
    others = children_of(os.getpid())
    before = signal.signal(signal.SIGHUP, hangup)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.deployments.cluster.supervising", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
        text=True,
    )
    signal.signal(signal.SIGHUP, before)
    running = Command(process, folder, others)
    try:
        assert process.stdout is not None
        running.port, running.supervised = map(int, process.stdout.readline().split())
        wait("its daemons", lambda: len(living(others)) == FOUR)
        assert running.port in listening_ports()
        yield running
    finally:
        end_all(others)
        process.wait()
        adopt_orphans(False)


def twice(running: Command, number: int) -> None:
    running.process.send_signal(number)
    running.group(number)


ENDINGS: dict[str, Callable[[Command], None]] = {
    "TERM": lambda running: running.process.send_signal(signal.SIGTERM),
    "TERM twice, as timeout sends it": lambda running: twice(running, signal.SIGTERM),
    "INT twice": lambda running: twice(running, signal.SIGINT),
    "a closed terminal": lambda running: running.group(signal.SIGHUP),
    "KILL of what it supervises": lambda running: os.kill(running.supervised, signal.SIGKILL),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left_after(ending: str, tmp_path: Path) -> None:
    with command(tmp_path, "hears") as running:
        ENDINGS[ending](running)
        wait(lambda: f"nothing to be left, but there is {running.left()}", lambda: not running.left())


def test_a_second_signal_ends_what_does_not_hear_the_first_one(tmp_path: Path) -> None:
    with command(tmp_path, "deaf") as running:
        running.group(signal.SIGINT)
        deadline = time.monotonic() + 60
        while running.left() and time.monotonic() < deadline:
            time.sleep(0.3)
            running.group(signal.SIGINT)  # Ctrl-C, again and again
        assert not running.left()
        assert running.process.wait() == 0


def test_nohup_keeps_it_from_ending_with_its_terminal(tmp_path: Path) -> None:
    with command(tmp_path, "hears", signal.SIG_IGN) as running:
        running.group(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            running.process.wait(0.5)


def test_what_failed_leaves_its_folder_with_the_logs_and_nothing_else(place: Path) -> None:
    adopt_orphans()
    others = children_of(os.getpid())
    supervised = Supervised()
    log = supervised.folder.path / "ray"
    program = (
        "import os, shutil, sys; os.mkdir(sys.argv[1], 0o700); print(); sys.stdin.read(); shutil.rmtree(sys.argv[1])"
    )
    supervised.start([sys.executable, "-uc", program, str(log.parent)], os.environ)
    supervised.line()
    log.write_text("why it failed")
    supervised.end(keep_folder=True)
    assert children_of(os.getpid()) == others
    assert log.read_text() == "why it failed"
    assert clear_leftovers({place}) == [log.parent]
