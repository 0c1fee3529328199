"""The private folder of a run, and what the next start does with one that was left."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deployments.cluster.processes import has_ended
from deployments.cluster.run_folder import LONGEST, PREFIX, RunFolder, abandoned, clear_leftovers


def made() -> RunFolder:
    folder = RunFolder.choose()
    folder.make()
    return folder


def process(folder: RunFolder, session: bool) -> subprocess.Popen[bytes]:
    """A process that names the folder, as Ray's do; in a session of its own, or in this one."""
    return subprocess.Popen(
        [sys.executable, "-c", "input()", str(folder.path)], stdin=subprocess.PIPE, start_new_session=session
    )


def test_only_its_owner_may_enter_it_whatever_the_umask_is(place: Path) -> None:
    before = os.umask(0)
    try:
        folder = made()
    finally:
        os.umask(before)
    assert folder.path.parent == place
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_it_is_made_by_whoever_watches_over_it_and_not_before(place: Path) -> None:
    folder = RunFolder.choose()
    assert list(place.iterdir()) == []
    folder.make()
    assert list(place.iterdir()) == [folder.path]
    with pytest.raises(FileExistsError):
        RunFolder(folder.path).make()


def test_one_stays_that_is_made_beside_another_start_which_clears(place: Path) -> None:
    stop = threading.Event()

    def clear() -> int:
        cleared = 0
        while not stop.is_set():
            cleared += len(clear_leftovers({place}))
        return cleared

    with ThreadPoolExecutor(1) as pool:
        clearing = pool.submit(clear)
        try:
            for _ in range(300):
                RunFolder.choose().path.mkdir(mode=0o700)  # one that nobody watches over
                folder = made()
                assert folder.path.is_dir()
                folder.remove()
        finally:
            stop.set()
        assert clearing.result() > 0


def test_it_lies_in_tmp_where_sockets_in_it_would_have_names_that_are_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("deep" * 10)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder = made()
    try:
        assert folder.path.parent == Path("/tmp")
        assert len(str(folder.path)) <= LONGEST
    finally:
        folder.remove()
    assert not folder.path.exists()


def within(place: Path, folders: list[Path]) -> list[Path]:
    """Those of a test; /tmp may hold what another run on this machine has left."""
    return [folder for folder in folders if folder.parent == place]


def test_the_next_start_leaves_a_folder_in_use_alone_and_clears_one_that_nobody_uses(place: Path) -> None:
    used, left = made(), made()
    (left.path / "ray" / "session_1").mkdir(parents=True)
    left.release()
    assert within(place, abandoned()) == [left.path]
    assert left.path.is_dir()
    assert within(place, clear_leftovers()) == [left.path]
    assert [path.name for path in place.iterdir()] == [used.path.name]
    used.release()
    assert within(place, clear_leftovers()) == [used.path]


def test_the_next_start_ends_processes_that_a_run_left_and_no_others(place: Path) -> None:
    left = made()
    ours, strangers = process(left, session=True), process(left, session=False)  # one that only looks at the logs
    try:
        left.note_session(ours.pid)
        left.release()
        assert within(place, clear_leftovers()) == [left.path]
        assert ours.wait(5) == -signal.SIGKILL
        assert not has_ended(strangers.pid)
    finally:
        for one in (ours, strangers):
            one.kill()
            one.wait()


@pytest.mark.parametrize(
    "name", [f"{PREFIX}logs", f"{PREFIX}abcdefgh-old", "abcdefgh"], ids=["another name", "a longer one", "no prefix"]
)
def test_a_folder_with_another_name_is_left_alone(place: Path, name: str) -> None:
    (place / name).mkdir(mode=0o700)
    assert within(place, clear_leftovers()) == []
    assert (place / name).is_dir()


def test_a_folder_that_holds_anything_else_is_left_alone(place: Path) -> None:
    folder = made()
    (folder.path / "thesis.tex").write_text("years of work")
    folder.release()
    assert within(place, clear_leftovers()) == []
    assert (folder.path / "thesis.tex").exists()


def test_a_folder_with_wider_permissions_is_left_alone(place: Path) -> None:
    folder = made()
    folder.path.chmod(0o777)
    folder.release()
    assert within(place, clear_leftovers()) == []


def test_a_link_in_its_place_is_not_followed(place: Path, tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir(mode=0o700)
    (place / f"{PREFIX}abcdefgh").symlink_to(tmp_path)
    assert within(place, clear_leftovers()) == []
    assert (tmp_path / "ray").is_dir()


def test_a_start_that_died_before_anything_was_in_its_folder_leaves_nothing_for_ever(place: Path) -> None:
    made().release()
    clear_leftovers()
    assert list(place.iterdir()) == []
