"""Files that are whole or not there, and locks between processes."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.files import ACL, FileChangedError, locked, partial_path, replacing, require_replaceable, write_whole

NOBODY = 65534
AS_NOBODY = """
import os, sys
from pathlib import Path
from models.files import require_replaceable, write_whole
target = Path(sys.argv[1])
os.setgroups([]), os.setgid(65534), os.setuid(65534)
for attempt in (lambda: require_replaceable(target), lambda: write_whole(target, b"new", before=b"old")):
    try:
        attempt()
    except PermissionError as error:
        print(error.strerror)
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other users")

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


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file of somebody's, behind a link in another folder."""
    for folder in ("real", "linked"):
        (tmp_path / folder).mkdir()
    (tmp_path / "real" / "file").write_text("old")
    (tmp_path / "linked" / "file").symlink_to("../real/file")
    return tmp_path / "linked" / "file"


def test_a_link_stays_and_the_file_behind_it_is_replaced(target: Path) -> None:
    write_whole(target, b"new")
    assert (target.is_symlink(), target.resolve().read_text()) == (True, "new")
    assert sorted(path.name for path in target.parent.parent.rglob("*")) == ["file", "file", "linked", "real"]


def test_a_link_to_nothing_leads_to_the_new_file(target: Path) -> None:
    target.resolve().unlink()
    write_whole(target, b"new")
    assert (target.is_symlink(), (target.parent.parent / "real" / "file").read_text()) == (True, "new")


@needs_root
@pytest.mark.parametrize("mode_of_it", [0o600, 0o640, 0o444, 0o2660])
def test_owner_and_permissions_stay_whoever_edits(target: Path, mode_of_it: int) -> None:
    os.chown(target, NOBODY, NOBODY)
    target.chmod(mode_of_it)
    write_whole(target, b"new", mode=0o600, before=b"old")
    status = target.stat()
    assert (status.st_uid, status.st_gid, mode(target)) == (NOBODY, NOBODY, mode_of_it)


@needs_root
def test_an_edit_that_would_take_a_file_from_its_owner_is_refused(target: Path) -> None:
    target.resolve().parent.chmod(0o777)
    for folder in target.parents:
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    command = [sys.executable, "-c", AS_NOBODY, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.partition(";")[0] for line in done.stdout.splitlines()] == [
        "it belongs to user 0 and group 0, which this user cannot keep"
    ] * 2
    assert (target.read_text(), os.listdir(target.resolve().parent)) == ("old", ["file"])


def test_an_access_list_stays(target: Path) -> None:
    # Version 2, then tag, permissions and id of: owner rw, user 65534 r, group -, mask r, others -.
    entries = [(1, 6, -1), (2, 4, NOBODY), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(target, ACL, acl)
    except OSError:
        pytest.skip("this file system has no access lists")
    write_whole(target, b"new", before=b"old")
    assert os.getxattr(target, ACL) == acl


@pytest.mark.parametrize("happened", ["edited", "gone", "replaced by another"])
def test_what_somebody_wrote_meanwhile_is_not_overwritten(target: Path, happened: str) -> None:
    real = target.resolve()

    def write() -> None:
        with replacing(target, before=b"old") as partial:
            partial.write_text("new")
            if happened != "edited":
                real.unlink()
            if happened != "gone":
                real.write_text("theirs")

    with pytest.raises(FileChangedError, match="changed by somebody else"):
        write()
    assert os.listdir(real.parent) == ([] if happened == "gone" else ["file"])
    assert happened == "gone" or real.read_text() == "theirs"


def test_what_replaces_a_private_file_is_private_at_every_moment(target: Path) -> None:
    target.chmod(0o640)
    with unmasked(), replacing(target) as partial:
        partial.write_text("secret")
        assert mode(partial) == 0o600
    assert mode(target) == 0o640


def test_a_link_that_a_stranger_puts_where_the_new_file_is_written_is_not_followed(target: Path) -> None:
    victim = target.parent / "victim"
    victim.write_text("precious")
    partial_path(target).symlink_to(victim)
    write_whole(target, b"new")
    assert (victim.read_text(), target.read_text()) == ("precious", "new")


def test_asking_whether_a_file_can_be_replaced_changes_nothing(target: Path) -> None:
    before = (target.stat(), os.listdir(target.resolve().parent))
    require_replaceable(target)
    assert (target.stat(), os.listdir(target.resolve().parent)) == before


@contextlib.contextmanager
def unmasked() -> Iterator[None]:
    """With a umask that takes nothing away."""
    old = os.umask(0)
    try:
        yield
    finally:
        os.umask(old)


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


@pytest.mark.parametrize("before", [None, 0o644, 0o666], ids=["a new one", "one of 0644", "one of 0666"])
def test_only_its_owner_can_hold_a_lock_whatever_the_umask_is(tmp_path: Path, before: int | None) -> None:
    lock = tmp_path / "x.lock"
    if before is not None:
        lock.touch()
        lock.chmod(before)
    with unmasked(), locked(tmp_path / "x"):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_a_lock_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "x")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGKILL)
    with locked(tmp_path / "x"):
        pass


@pytest.mark.parametrize("kind", ["a pipe", "a folder"])
def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    if kind == "a pipe":
        os.mkfifo(target)
    else:
        target.mkdir()
    before = target.stat()
    with pytest.raises(OSError, match="Not a regular file"):
        write_whole(target, b"new")
    assert (target.stat().st_ino, target.stat().st_mode) == (before.st_ino, before.st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
