"""Files that are whole or not there, and locks between processes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from models.files import locked, partial_path, replacing, write_whole

HOLDER = """
import sys, time
from pathlib import Path
from models.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def write() -> None:
        with replacing(target) as partial:
            partial.write_text("new, but ha")
            assert target.read_text() == "old"
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_keeps_its_permissions_and_a_new_one_is_as_private_as_asked(tmp_path: Path) -> None:
    target = tmp_path / "keys"
    write_whole(target, b"1", mode=0o600)
    assert mode(target) == 0o600
    target.chmod(0o640)
    write_whole(target, b"2", mode=0o600)
    assert (mode(target), target.read_bytes()) == (0o640, b"2")


def test_what_a_killed_writer_left_open_to_everybody_does_not_open_a_secret(tmp_path: Path) -> None:
    target = tmp_path / "keys"
    partial_path(target).write_text("left")
    partial_path(target).chmod(0o666)
    write_whole(target, b"secret", mode=0o600)
    assert mode(target) == 0o600


def test_a_lock_holds_other_threads_off(tmp_path: Path) -> None:
    order = []

    def second() -> None:
        with locked(tmp_path / "x"):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path / "x"):
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_lock_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "x")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGKILL)
    with locked(tmp_path / "x"):
        pass
