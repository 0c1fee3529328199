"""A file that is fetched arrives whole or not at all."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from models.catalog.download import Silent, download
from models.catalog.paths import ROOT
from models.catalog.retries import Retries
from models.errors import SourceError, StoreError
from tests.models.catalog.file_server import WAIT_S, FileServer
from tests.models.catalog.pulling import left

pytestmark = pytest.mark.usefixtures("store_folder")

BLOCK = np.random.Generator(np.random.PCG64(7)).bytes(3 << 20)
BLOCK_SHA256 = hashlib.sha256(BLOCK).hexdigest()


def test_a_download_arrives_and_is_not_repeated(server: FileServer, tmp_path: Path) -> None:
    server.files["/model"] = BLOCK
    for _ in range(2):
        download(f"{server.url}/model", tmp_path / "model", BLOCK_SHA256, Silent())
    assert (tmp_path / "model").read_bytes() == BLOCK
    assert server.asked == [("/model", None)]


def test_a_cut_download_goes_on_where_it_stopped(server: FileServer, tmp_path: Path) -> None:
    server.files["/model"] = BLOCK
    server.cut_after = [2 << 20]
    target = tmp_path / "model"
    with pytest.raises(SourceError, match=r"127\.0\.0\.1"):
        download(f"{server.url}/model", target, BLOCK_SHA256, Silent(), retries=Retries(tries=1))
    assert not target.exists()
    partial = target.with_name("model.partial").stat().st_size
    assert 0 < partial <= 2 << 20
    download(f"{server.url}/model", target, BLOCK_SHA256, Silent())
    assert server.asked[1] == ("/model", f"bytes={partial}-")
    assert target.read_bytes() == BLOCK
    assert left(tmp_path) == ["model"]
    assert not list(tmp_path.glob("*.partial"))


def test_a_cut_download_starts_anew_from_a_server_without_ranges(server: FileServer, tmp_path: Path) -> None:
    server.files["/model"] = BLOCK
    server.ranges, server.cut_after = False, [2 << 20]
    download(f"{server.url}/model", tmp_path / "model", BLOCK_SHA256, Silent())
    assert len(server.asked) == 2
    assert (tmp_path / "model").read_bytes() == BLOCK


def test_a_partial_file_that_is_whole_is_taken(server: FileServer, tmp_path: Path) -> None:
    server.files["/model"] = BLOCK
    (tmp_path / "model.partial").write_bytes(BLOCK)
    download(f"{server.url}/model", tmp_path / "model", BLOCK_SHA256, Silent())
    assert (tmp_path / "model").read_bytes() == BLOCK


def test_a_partial_file_of_other_bytes_is_thrown_away(server: FileServer, tmp_path: Path) -> None:
    server.files["/model"] = BLOCK
    (tmp_path / "model.partial").write_bytes(b"another file")
    download(f"{server.url}/model", tmp_path / "model", BLOCK_SHA256, Silent())
    assert (tmp_path / "model").read_bytes() == BLOCK


def test_other_bytes_than_the_catalogue_says_never_get_the_name(server: FileServer, tmp_path: Path) -> None:
    server.files["/model"] = BLOCK
    with pytest.raises(SourceError, match=f"model has sha256 {BLOCK_SHA256}, the catalogue says {'0' * 64}"):
        download(f"{server.url}/model", tmp_path / "model", "0" * 64, Silent())
    assert left(tmp_path) == []
    assert not list(tmp_path.glob("*.partial"))


def test_a_missing_file_says_which_and_who_lacks_it(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 answered 404 for model"):
        download(f"{server.url}/model", tmp_path / "model", BLOCK_SHA256, Silent())


def test_a_closed_port_says_who_does_not_answer(closed_url: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 does not answer"):
        download(f"{closed_url}/model", tmp_path / "model", BLOCK_SHA256, Silent())


DOWNLOAD = """
import sys
from pathlib import Path
from models.catalog.download import download
class Loud:
    def note(self, message): pass
    def progress(self, label, done, total): print(done, total, flush=True)
download(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Loud())
"""


def test_a_killed_download_leaves_no_file_that_looks_whole_and_goes_on(server: FileServer, tmp_path: Path) -> None:
    server.files["/model"] = BLOCK
    server.hold_after = 2 << 20
    target = tmp_path / "model"
    command = [sys.executable, "-c", DOWNLOAD, f"{server.url}/model", str(target), BLOCK_SHA256]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        done, total = map(int, process.stdout.readline().split())
        assert (1 << 20) <= done <= (2 << 20)
        assert total == len(BLOCK)
        process.send_signal(signal.SIGKILL)
        assert process.wait(WAIT_S) == -signal.SIGKILL
    assert left(tmp_path) == []
    server.hold_after = None
    server.resume.set()
    download(f"{server.url}/model", target, BLOCK_SHA256, Silent())
    assert target.read_bytes() == BLOCK
    assert re.fullmatch(r"bytes=[1-9]\d+-", server.asked[1][1] or "")


def test_two_downloads_of_one_file_at_once_both_succeed(server: FileServer, tmp_path: Path) -> None:
    """Versions share weights, and their replicas start together."""
    server.files["/model"] = BLOCK
    server.hold_after = 1 << 20
    failures: list[BaseException] = []

    def run() -> None:
        try:
            download(f"{server.url}/model", tmp_path / "model", BLOCK_SHA256, Silent())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    threads[1].join(0.5)  # long enough for the second to come in between, where it may
    server.resume.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert not failures
    assert (tmp_path / "model").read_bytes() == BLOCK


def test_a_download_to_a_full_disk_says_that_the_disk_is_full(server: FileServer, tmp_path: Path) -> None:
    server.files["/model"] = BLOCK
    (tmp_path / "model.partial").symlink_to("/dev/full")
    with pytest.raises(StoreError, match=f"cannot write to {tmp_path}: No space left on device; free some space"):
        download(f"{server.url}/model", tmp_path / "model", BLOCK_SHA256, Silent())
