"""Model files out of an S3-compatible server, over a line that cuts, throttles, shortens and corrupts."""

from __future__ import annotations

import email.utils
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator

from models.catalog import retries
from models.catalog.download import Silent, download
from models.catalog.paths import ROOT
from models.catalog.s3 import signed_url
from models.catalog.source_entry import S3Source
from models.catalog.sources import fetch, place
from models.errors import SourceError, UnreachableError
from tests.servers.s3_server import BUCKET, SECRET, Fault, S3Server, corrupt, cut, none, refuse, s3_server, truncate

BLOCK = np.random.Generator(np.random.PCG64(11)).bytes(5 << 20)
SHA256 = hashlib.sha256(BLOCK).hexdigest()
SOURCE = S3Source(s3=f"s3://{BUCKET}/minilm", files={"onnx/model.onnx": SHA256})
BUSY = refuse(429, retry_after="0")
AT_ONCE = 12


class Notes(Silent):
    """Keeps what was reported."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "objects") as server:
        server.put("minilm/onnx/model.onnx", BLOCK)
        yield server


@pytest.fixture
def server(running: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    running.faults, running.always, running.asked, running.sent = [], None, [], 0
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(retries, "FIRST_S", 0.01)
    return running


def got(store: Path) -> bytes:
    (path,) = fetch(SOURCE, store, Silent()).values()
    return path.read_bytes()


def left(store: Path) -> list[str]:
    return sorted(path.name for path in store.rglob("*") if path.suffix not in (".lock", ".failed", ".partial"))


def test_an_object_below_a_prefix_arrives_whole_and_is_not_fetched_again(server: S3Server, tmp_path: Path) -> None:
    assert got(tmp_path) == got(tmp_path) == BLOCK
    assert (len(server.asked), server.sent) == (1, len(BLOCK))


FAULTS: dict[str, list[Fault]] = {
    "cut once": [cut(3 << 20)],
    "cut at each of three tries": [cut(2 << 20), cut(1 << 20), cut(1 << 20)],
    "cut before the first byte": [cut(0), cut(0)],
    "throttled twice": [BUSY, BUSY],
    "throttled, then cut, then broken": [BUSY, cut(2 << 20), refuse(503), refuse(500)],
    "throttled until a date": [refuse(503, retry_after=email.utils.formatdate(time.time(), usegmt=True))],
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_a_transfer_ends_with_the_whole_file_although_it_is(
    server: S3Server, tmp_path: Path, faults: list[Fault]
) -> None:
    server.faults = list(faults)
    assert got(tmp_path) == BLOCK
    assert len(server.asked) == len(faults) + 1
    assert server.sent == len(BLOCK), "what had arrived was not sent again"
    assert left(tmp_path) == [place(tmp_path, "model.onnx", SHA256).name]


def test_a_server_that_says_when_to_come_back_is_not_asked_before(server: S3Server, tmp_path: Path) -> None:
    server.faults = [refuse(429, retry_after="1")]
    began = time.monotonic()
    notes = Notes()
    fetch(SOURCE, tmp_path, notes)
    assert time.monotonic() - began >= 1
    assert "answered 429 (SlowDown)" in notes.lines[0]


KINDS: list[Callable[[Generator], Fault]] = [
    lambda chance: cut(int(chance.integers(0, len(BLOCK)))),
    lambda chance: refuse(int(chance.choice([408, 425, 429, 500, 502, 503, 504]))),
    lambda _: refuse(429, retry_after="0"),
]


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 100))])
def test_whatever_happens_fewer_times_than_there_are_tries_the_file_is_whole(
    server: S3Server, tmp_path: Path, seed: int
) -> None:
    chance = np.random.Generator(np.random.PCG64(seed))
    server.faults = [KINDS[int(chance.integers(len(KINDS)))](chance) for _ in range(chance.integers(1, retries.TRIES))]
    count = len(server.faults)
    assert got(tmp_path) == BLOCK
    assert server.sent == len(BLOCK), "what had arrived was not sent again"
    assert len(server.asked) <= count + 1  # fewer where a line is cut behind the end


REFUSALS: dict[str, tuple[Fault, str, int]] = {
    "throttled for ever": (BUSY, r"127\.0\.0\.1 answered 429 \(SlowDown\) for .*model\.onnx", retries.TRIES),
    "told to come back in an hour": (refuse(503, retry_after="3600"), "asks to come back in 3600 s", 1),
    "shortened": (truncate(2 << 20), f"has sha256 [0-9a-f]{{64}}, the catalogue says {SHA256}", 1),
    "corrupted": (corrupt, f"has sha256 [0-9a-f]{{64}}, the catalogue says {SHA256}", 1),
    "cut for ever without a byte": (cut(0), r"127\.0\.0\.1 does not answer", retries.TRIES),
    "refused": (refuse(403), r"answered 403.*AWS_ACCESS_KEY_ID", 1),
}


@pytest.mark.parametrize(("fault", "message", "tries"), REFUSALS.values(), ids=REFUSALS)
def test_a_transfer_that_cannot_end_well_says_why_and_leaves_no_file_that_looks_whole_when_it_is(
    server: S3Server, tmp_path: Path, fault: Fault, message: str, tries: int
) -> None:
    server.always = fault
    with pytest.raises(SourceError, match=message) as raised:
        got(tmp_path)
    assert len(server.asked) == tries
    assert SECRET not in str(raised.value)
    assert left(tmp_path) == []


def test_a_file_that_was_begun_with_other_bytes_is_fetched_anew(server: S3Server, tmp_path: Path) -> None:
    target = place(tmp_path, "model.onnx", SHA256)
    target.with_name(target.name + ".partial").write_bytes(b"another file" * 1000)
    assert got(tmp_path) == BLOCK


def test_a_line_that_always_cuts_after_a_while_brings_the_file_in_the_end(server: S3Server, tmp_path: Path) -> None:
    server.always = cut(300_000)
    url = signed_url(SOURCE.s3, "onnx/model.onnx")
    download(url, tmp_path / "model", SHA256, Silent(), retries=retries.Retries(tries=5))
    assert (tmp_path / "model").read_bytes() == BLOCK


def test_a_store_that_is_away_for_a_moment_is_waited_for(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1 does not answer"):
        fetch(SOURCE, tmp_path, notes := Notes())
    assert len(notes.lines) == retries.TRIES - 1


def test_a_missing_object_says_which(server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"answered 404 \(NoSuchKey\) for 00000000.*absent\.onnx"):
        fetch(SOURCE.model_copy(update={"files": {"absent.onnx": "0" * 64}}), tmp_path, Silent())


WRONG = {
    "a wrong secret": ({"AWS_SECRET_ACCESS_KEY": "other"}, r"answered 403 \(SignatureDoesNotMatch\).*AWS_ENDPOINT_URL"),
    "an endpoint that is no URL": ({"AWS_ENDPOINT_URL": "minio"}, r"cannot (sign|ask).*AWS_ENDPOINT_URL"),
    "half of the keys": ({"AWS_SECRET_ACCESS_KEY": None}, r"SecretAccessKey.*AWS_SECRET_ACCESS_KEY"),
    "no signature where one is needed": (
        {"AWS_SKIP_SIGNATURE": "true"},
        r"answered 40[03] \(\w+\).*AWS_SKIP_SIGNATURE",
    ),
}


@pytest.mark.parametrize(("variables", "message"), WRONG.values(), ids=WRONG)
def test_the_error_names_the_variables_to_look_at_with(
    server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str | None],
    message: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(SourceError, match=message):
        got(tmp_path)


# Many processes of one node


def at_once(count: int, source: S3Source, store: Path) -> list[str]:
    """What so many processes say that begin together: forked from one that has imported everything, as Ray's are not."""
    command = [sys.executable, "-c", MANY, str(count), source.model_dump_json(), str(store)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


MANY = """
import os, sys
from pathlib import Path
from models.catalog import retries
from models.catalog.source_entry import S3Source
from models.catalog.download import Silent
from models.catalog.sources import fetch
count, source, store = int(sys.argv[1]), S3Source.model_validate_json(sys.argv[2]), Path(sys.argv[3])
retries.FIRST_S = 0.01
wait, start = os.pipe()
children = []
for _ in range(count):
    child = os.fork()
    if child == 0:
        os.close(start)
        os.read(wait, 1)
        try:
            (path,) = fetch(source, store, Silent()).values()
            said = f"whole {path.name}"
        except Exception as error:
            said = f"{type(error).__name__} {error}"
        os.write(1, (said.replace(chr(10), " ") + chr(10)).encode())
        os._exit(0)
    children.append(child)
os.close(start)
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
counts = pytest.mark.parametrize("count", [AT_ONCE, pytest.param(100, marks=pytest.mark.slow)])


@pytest.mark.slow
@pytest.mark.parametrize("count", [100])
def test_many_processes_that_want_a_file_at_once_get_it_by_one_transfer(
    server: S3Server, tmp_path: Path, count: int
) -> None:
    assert at_once(count, SOURCE, tmp_path) == [f"whole {place(tmp_path, 'model.onnx', SHA256).name}"] * count
    assert (len(server.asked), server.sent) == (1, len(BLOCK))


@counts
def test_many_processes_share_one_transfer_that_is_cut_and_throttled(
    server: S3Server, tmp_path: Path, count: int
) -> None:
    server.faults = [BUSY, cut(3 << 20), none]
    assert set(at_once(count, SOURCE, tmp_path)) == {f"whole {place(tmp_path, 'model.onnx', SHA256).name}"}
    assert (len(server.asked), server.sent) == (3, len(BLOCK))


@pytest.mark.parametrize(
    ("count", "fault", "tries"),
    [
        pytest.param(AT_ONCE, BUSY, retries.TRIES, id="throttles"),
        pytest.param(100, BUSY, retries.TRIES, id="throttles a hundred", marks=pytest.mark.slow),
        pytest.param(100, corrupt, 1, id="corrupts what a hundred want", marks=pytest.mark.slow),
    ],
)
def test_many_processes_learn_from_one_of_them_that_the_server(
    server: S3Server, tmp_path: Path, count: int, fault: Fault, tries: int
) -> None:
    server.always = fault
    said = at_once(count, SOURCE, tmp_path)
    assert len(said) == count
    assert len(set(said)) == 1
    assert "Error" in said[0]
    assert len(server.asked) == tries
    server.always = None
    assert got(tmp_path) == BLOCK, "a failure is not remembered for those who come later"
