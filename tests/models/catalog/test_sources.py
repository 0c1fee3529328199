"""A version is pulled from the first of its sources that answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.catalog.artifact import tokenizer_path
from models.catalog.download import Silent
from models.catalog.paths import ROOT
from models.catalog.source_entry import FileSource
from models.catalog.sources import fetch
from models.catalog.store import kept_artifact, pull
from models.errors import ArtifactError, SourceError, StoreError
from models.file_digest import file_sha256
from tests.data.tiny import TinyModel
from tests.models.catalog.file_server import FileServer
from tests.models.catalog.pulling import Notes, left, text_spec

pytestmark = pytest.mark.usefixtures("store_folder")


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
