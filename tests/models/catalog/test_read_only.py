"""A store that nobody may write to, as serving containers mount it, and a second one beside it for what it lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.catalog.artifact import open_artifact
from models.catalog.custom import describe_folder
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import PRELOADED, ROOT, found_path
from models.catalog.store import kept_artifact, pull
from tests.data.tiny import TinyModel, write
from tests.read_only import read_only, require_mounts

PULL = """
import json, sys
from models.catalog.model_spec import ModelSpec
from models.catalog.store import pull
spec = ModelSpec.model_validate_json(sys.argv[1])
try:
    artifact = pull(spec, allow_synthetic=False)
    print(json.dumps({"graph": str(artifact.graph), "hash": artifact.hash}))
except Exception as error:
    print(json.dumps({"error": str(error)}))
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The preloaded store, which holds version 1.0.0, and the writable one."""
    preloaded, scratch = tmp_path / "preloaded", tmp_path / "scratch"
    for folder in (preloaded, scratch):
        folder.mkdir()
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(preloaded))
    pull(version(tmp_path, "1.0.0"), allow_synthetic=False)
    return preloaded, scratch


def version(tmp_path: Path, number: str) -> ModelSpec:
    folder = tmp_path / "tiny"
    tiny = TinyModel(folder) if folder.exists() else write(folder)
    precision = "fp32" if number == "1.0.0" else "fp16"
    return describe_folder(f"tiny@{number}", tiny.folder, precision)


def pulled(spec: ModelSpec, closed: Path, **environment: str) -> dict[str, str]:
    """What a process gets that may not write to a folder."""
    command = [*require_mounts(), *read_only(closed), sys.executable, "-c", PULL, spec.model_dump_json()]
    whole = {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, env=whole, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_a_model_that_is_there_whole_is_served_from_a_store_that_nobody_can_write_to(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    preloaded, _ = folders
    before = sorted(preloaded.rglob("*"))
    for lock in preloaded.rglob("*.lock"):
        lock.unlink()  # as in an image that was made of the files that matter
    found = pulled(version(tmp_path, "1.0.0"), preloaded)
    assert found["graph"].startswith(str(preloaded))
    assert sorted(preloaded.rglob("*")) == [path for path in before if path.suffix != ".lock"]


def test_a_model_that_a_closed_store_lacks_ends_with_the_folders_name(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    found = pulled(version(tmp_path, "1.1.0"), folders[0])
    assert f"cannot write to {folders[0]}" in found["error"]


def test_what_preloaded_models_lack_is_made_in_the_store_beside_them(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    preloaded, scratch = folders
    two = {PRELOADED: str(preloaded), "EMBEDSERVE_MODELS": str(scratch)}
    assert Path(pulled(version(tmp_path, "1.0.0"), preloaded, **two)["graph"]).parent == preloaded
    assert list(scratch.iterdir()) == []
    made = pulled(version(tmp_path, "1.1.0"), preloaded, **two)
    assert Path(made["graph"]).parent == scratch


def test_a_preloaded_file_that_is_damaged_is_made_anew_beside_it(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preloaded, scratch = folders
    spec = version(tmp_path, "1.0.0")
    whole = open_artifact(spec, spec.graph)
    whole.graph.write_bytes(whole.graph.read_bytes()[:-100])
    monkeypatch.setenv(PRELOADED, str(preloaded))
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(scratch))
    assert kept_artifact(spec) is None
    made = pull(spec, allow_synthetic=False)
    assert (made.graph.parent, made.hash) == (scratch, whole.hash)


def test_a_file_by_its_path_is_found_in_either_folder(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    preloaded, scratch = folders
    monkeypatch.setenv(PRELOADED, str(preloaded))
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(scratch))
    (name,) = (path.name for path in preloaded.glob("*.onnx"))
    assert found_path(f"./models/store/{name}") == preloaded / name
    (scratch / name).write_bytes(b"newer")
    assert found_path(f"./models/store/{name}") == scratch / name
    assert found_path("models/store/absent.onnx") == scratch / "absent.onnx"
