"""A digest is that of the file as it is, and a file that stayed as it was is not read twice."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from models import file_digest
from models.file_digest import file_sha256

SIZE = 1_000_000


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as one that nobody is about to change."""
    monkeypatch.setattr(file_digest, "SETTLED_S", -1)
    path = tmp_path / "weights"
    path.write_bytes(b"a" * SIZE)
    return path


def bytes_read(path: Path) -> int:
    """How much this process read to know a file's digest, which must be right."""

    def total() -> int:
        return int(Path("/proc/self/io").read_text().splitlines()[0].split()[1])

    before = total()
    found = file_sha256(path)
    read = total() - before
    assert found == hashlib.sha256(path.read_bytes()).hexdigest()
    return read


def test_a_file_that_stayed_as_it_was_is_read_once_also_under_another_name(file: Path) -> None:
    assert bytes_read(file) >= SIZE
    other = file.with_name("other")
    file.rename(other)
    assert bytes_read(other) >= SIZE  # a rename is a change
    assert bytes_read(other) < SIZE
    assert bytes_read(other) < SIZE


def test_another_content_of_the_same_size_and_time_is_read(file: Path) -> None:
    bytes_read(file)
    before = file.stat()
    with file.open("r+b") as same:
        same.write(b"b")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert bytes_read(file) >= SIZE


def test_another_file_in_its_place_is_read(file: Path) -> None:
    bytes_read(file)
    before = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"c" * SIZE)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert bytes_read(file) >= SIZE


def test_a_file_that_may_be_changing_is_read_each_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digest, "SETTLED_S", 3600)
    assert min(bytes_read(file), bytes_read(file)) >= SIZE


def test_a_file_is_read_again_after_a_while(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bytes_read(file)
    monkeypatch.setattr(file_digest, "KEPT_S", 0)
    assert bytes_read(file) >= SIZE


def test_what_is_remembered_has_an_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digest, "MOST", 3)
    for number in range(30):
        file.with_name(str(number)).write_bytes(b"%d" % number)
        bytes_read(file.with_name(str(number)))
        assert len(file_digest._known) <= 3
