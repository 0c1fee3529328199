from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.catalog.artifact import Artifact, content_hash, open_artifact, tokenizer_path
from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import ROOT, resolve_path
from models.catalog.source_entry import FileSource
from models.catalog.store import pull
from models.errors import ArtifactError, CatalogError, ModelNotFoundError
from tests.data.tiny import TinyModel

SHA = "0" * 64
TEXT: dict[str, Any] = {
    "name": "tiny",
    "path": "./models/store/tiny.onnx",
    "type": "text",
    "dimensions": 8,
    "config": {"max_sequence_length": 16, "do_lower_case": True, "pooling": "mean"},
    "sources": [
        {"hub": "someone/tiny", "revision": "a" * 40, "files": {"model.onnx": SHA}},
        {"package": "tiny==1.0", "sha256": SHA, "folder": "tiny", "files": {"model.onnx": SHA}},
        {"folder": "elsewhere", "files": {"model.onnx": SHA}},
    ],
}
IMAGE: dict[str, Any] = {
    "name": "tiny",
    "path": "./models/store/tiny-image.onnx",
    "type": "image",
    "dimensions": 8,
    "config": {"image_size": 32, "patch_size": 8, "num_channels": 3},
    "sources": [{"synthetic": "clip-vision"}],
}


def document() -> dict[str, Any]:
    return copy.deepcopy({"models": {"text": {"1.0.0": TEXT}, "image": {"1.0.0": IMAGE}}})


def write(folder: Path, content: Any) -> Path:
    path = folder / "catalog.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def test_the_catalogue_that_ships_is_valid_and_holds_both_models(catalog: Catalog) -> None:
    assert {"text-embedding@1.0.0", "image-embedding@1.0.0"} <= {spec.reference for spec in catalog.specs()}
    assert [catalog.find(f"{m}@1.0.0").dimensions for m in ("text-embedding", "image-embedding")] == [384, 512]


def test_a_valid_catalogue_loads(tmp_path: Path) -> None:
    loaded = Catalog.load(write(tmp_path, document()))
    assert [spec.reference for spec in loaded.specs()] == ["text@1.0.0", "image@1.0.0"]
    assert [str(source) for source in loaded.find("text").sources] == [
        "hub someone/tiny@aaaaaaaa",
        "package tiny==1.0",
        "folder elsewhere",
    ]


def entry(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda d: d["models"]["text"]["1.0.0"].update(changes)


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda d: d["models"]["text"]["1.0.0"].pop(key) and None


def config(model: str = "text", **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda d: d["models"][model]["1.0.0"]["config"].update(changes)


def source(index: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda d: d["models"]["text"]["1.0.0"]["sources"][index].update(changes)


def version(key: Any) -> Callable[[dict[str, Any]], None]:
    return lambda d: d["models"]["text"].update({key: copy.deepcopy(TEXT)})


def model(key: Any, value: Any = None) -> Callable[[dict[str, Any]], None]:
    return lambda d: d["models"].update({key: {} if value is None else value})


WRONG: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a typo in an entry's key": (entry(dimension=8), r"text\.1\.0\.0\.dimension: "),
    "a missing path": (without("path"), r"text\.1\.0\.0\.path: "),
    "a missing config": (without("config"), r"config\.max_sequence_length"),
    "an unknown type": (entry(type="audio"), r"text\.1\.0\.0\.type: .*'text' or 'image'.*'audio'"),
    "an unknown precision": (entry(precision="fp8"), r"precision: .*'fp32', 'fp16', 'bf16' or 'int8'"),
    "no dimensions": (entry(dimensions=0), r"dimensions: "),
    "dimensions that are no number": (entry(dimensions="many"), r"dimensions: .*'many'"),
    "config that is no mapping": (entry(config=[1]), r"text\.1\.0\.0\.config: "),
    "a typo in a required key of config": (
        entry(config={"max_sequnce_length": 16}),
        r"max_sequ?e?nce_length",
    ),
    "a typo in an optional key of config": (config(poling="cls"), r"config\.poling: "),
    "an unknown pooling": (config(pooling="least"), r"config\.pooling: .*'least'"),
    "a word where true or false belongs": (config(do_lower_case="perhaps"), r"config\.do_lower_case: "),
    "a length of zero": (config(max_sequence_length=0), r"config\.max_sequence_length"),
    "a length in words": (config(max_sequence_length="long"), r"config\.max_sequence_length"),
    "an image size that is missing": (config("image", image_size=None), r"config\.image_size"),
    "a typo in config of an image model": (config("image", patchsize=8), r"config\.patchsize: "),
    "a branch instead of a revision": (source(0, revision="main"), r"sources\.0\S*\.revision: .*'main'"),
    "a typo in a source's key": (source(0, revison="a" * 40), r"sources\.0\S*\.revison: "),
    "a package without an exact version": (source(1, package="tiny>=1"), r"sources\.1\S*\.package: .*'tiny>=1'"),
    "a sha256 that is too short": (source(1, sha256="abc"), r"sources\.1\S*\.sha256: .*'abc'"),
    "a file's sha256 in capitals": (source(2, files={"m.onnx": "A" * 64}), r"sources\.2\S*\.files\.m\.onnx: "),
    "an unknown synthetic architecture": (
        entry(sources=[{"synthetic": "bert"}]),
        r"sources\.0\S*\.synthetic: .*'clip-vision'.*'bert'",
    ),
    "a source of no known kind": (entry(sources=[{"url": "ftp://x"}]), r"sources\.0.*hub.*package.*folder.*synthetic"),
    "a model's name in capitals": (model("Text"), r"'Text' must be lower-case"),
    "a model without a mapping of versions": (model("other", ["1.0.0"]), r"models\.other must map versions"),
    "a version that YAML reads as a number": (version(1.0), r"version 1\.0 of text must be a quoted string"),
    "a model's name with a line's end": (model("text\n"), r"name 'text\\n' must be lower-case"),
    "a version with a line's end": (version("2.0\n"), r"version '2\.0\\n' of text"),
    "a file outside of its folder": (source(2, files={"../m.onnx": "a" * 64}), r"'\.\./m\.onnx' is no name of a file"),
    "a file with an absolute name": (
        source(2, files={"/etc/m.onnx": "a" * 64}),
        r"'/etc/m\.onnx' is no name of a file",
    ),
    "a path that leaves the store": (entry(path="./models/store/../m.onnx"), r"path: .*'\.\./m\.onnx' is no name"),
    "a hash that is none": (entry(hash="abc"), r"hash: "),
    "a version with a slash": (version("1/0"), r"version '1/0' of text"),
    "an entry that is no mapping": (model("other", {"1.0.0": "x"}), r"models\.other\.1\.0\.0 must be a mapping"),
    "a typo at the top": (lambda d: d.update(model={}), r"\bmodel: "),
    "no models": (lambda d: d.pop("models") and None, r"\bmodels: "),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_an_error_that_names_its_key(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    wrong = document()
    change(wrong)
    path = write(tmp_path, wrong)
    with pytest.raises(CatalogError, match=message) as caught:
        Catalog.load(path)
    text = str(caught.value)
    assert str(path) in text
    assert text.count(";") <= 2, f"one mistake gives a page of problems: {text}"
    assert "pydantic" not in text


@pytest.mark.parametrize(
    "content", ["models: [", "\t- x", "", "[]", "models: 3"], ids=["open list", "tab", "empty", "list", "number"]
)
def test_a_file_that_is_no_catalogue_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    with pytest.raises(CatalogError, match=r"catalog\.yaml"):
        Catalog.load(write(tmp_path, content))


def test_a_missing_and_a_binary_file_are_errors_that_name_them(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nowhere\.yaml"):
        Catalog.load(tmp_path / "nowhere.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"models: \xff\xfe")
    with pytest.raises(CatalogError, match=r"binary\.yaml"):
        Catalog.load(binary)


def test_the_environment_names_another_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSERVE_CATALOG", str(write(tmp_path, document())))
    assert set(Catalog.load().models) == {"text", "image"}


def test_unknown_names_and_versions_say_what_there_is(tmp_path: Path) -> None:
    loaded = Catalog.load(write(tmp_path, document()))
    with pytest.raises(ModelNotFoundError, match=r"'txt'.*it has: image, text"):
        loaded.find("txt")
    with pytest.raises(ModelNotFoundError, match=r"'2\.0' of text; it has: 1\.0\.0"):
        loaded.find("text@2.0")


def test_a_name_alone_is_not_enough_when_there_are_several_versions(tmp_path: Path) -> None:
    several = document()
    several["models"]["text"]["1.1.0"] = copy.deepcopy(TEXT)
    with pytest.raises(ModelNotFoundError, match=r"1\.0\.0.*1\.1\.0"):
        Catalog.load(write(tmp_path, several)).find("text")


def test_the_store_moves_with_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Catalog.load(write(tmp_path, document())).find("text")
    monkeypatch.delenv("EMBEDSERVE_MODELS", raising=False)
    assert spec.graph == ROOT / "models" / "store" / "tiny.onnx"
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "moved"))
    assert spec.graph == tmp_path / "moved" / "tiny.onnx"
    assert resolve_path("models/store/tiny.onnx") == tmp_path / "moved" / "tiny.onnx"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EMBEDSERVE_MODELS", "~/models")
    assert spec.graph == tmp_path / "models" / "tiny.onnx"


@pytest.mark.parametrize("path", ["other/tiny.onnx", "./models/storehouse/tiny.onnx"])
def test_paths_outside_the_store_stay_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path))
    assert resolve_path(path) == ROOT / path
    assert resolve_path("/somewhere/tiny.onnx") == Path("/somewhere/tiny.onnx")


@pytest.fixture
def spec(tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    loaded = Catalog.model_validate(document()).find("text")
    return loaded.model_copy(update={"sources": [FileSource(folder=str(tiny.folder), files=tiny.files)]})


@pytest.fixture
def artifact(spec: ModelSpec) -> Artifact:
    return pull(spec, allow_synthetic=False)


def test_equal_files_have_one_hash_wherever_they_lie_and_whatever_they_are_called(
    artifact: Artifact, tmp_path: Path
) -> None:
    graph = tmp_path / "another name.onnx"
    shutil.copy(artifact.graph, graph)
    assert artifact.tokenizer is not None
    shutil.copy(artifact.tokenizer, tokenizer_path(graph))
    renamed = artifact.spec.model_copy(
        update={"path": str(graph), "name": "x", "version": "9", "model": "y", "sources": []}
    )
    assert open_artifact(renamed, graph).hash == artifact.hash
    assert len(artifact.hash) == 64
    assert set(artifact.hash) <= set("0123456789abcdef")


@pytest.mark.parametrize("position", [0, 0.5, 1], ids=["first", "middle", "last"])
@pytest.mark.parametrize("part", ["graph", "tokenizer"])
def test_any_changed_byte_changes_the_hash(artifact: Artifact, part: str, position: float) -> None:
    path: Path = getattr(artifact, part)
    data = bytearray(path.read_bytes())
    data[int(position * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    assert open_artifact(artifact.spec, artifact.graph).hash != artifact.hash


@pytest.mark.parametrize(
    "change",
    [
        {"dimensions": 7},
        {"type": "image"},
        {"config": {**TEXT["config"], "max_sequence_length": 15}},
        {"config": {**TEXT["config"], "pooling": "cls"}},
        {"config": {k: v for k, v in TEXT["config"].items() if k != "do_lower_case"}},
    ],
    ids=["dimensions", "type", "length", "pooling", "one key less"],
)
def test_any_changed_setting_changes_the_hash(artifact: Artifact, change: dict[str, Any]) -> None:
    changed = artifact.spec.model_copy(update=change)
    assert content_hash(changed, artifact.graph, artifact.tokenizer) != artifact.hash


def test_the_order_of_settings_does_not_change_the_hash(artifact: Artifact) -> None:
    config = dict(reversed(artifact.spec.config.items()))
    assert content_hash(artifact.spec.model_copy(update={"config": config}), artifact.graph, artifact.tokenizer) == (
        artifact.hash
    )


@pytest.mark.parametrize("missing", ["graph", "tokenizer"])
def test_a_missing_file_is_an_error_that_names_it(artifact: Artifact, missing: str) -> None:
    path: Path = getattr(artifact, missing)
    path.unlink()
    with pytest.raises(ArtifactError, match=path.name):
        open_artifact(artifact.spec, artifact.graph)


BUILD = """
import hashlib, json, sys
from pathlib import Path
from safetensors.numpy import load_file
from models.catalog.build import build_graph
from models.graph import synthetic, vision
from models.graph.builder import save
from models.graph.precision import PRECISIONS, precision_of
folder, target = Path(sys.argv[1]), Path(sys.argv[2])
clip = vision.ClipVisionConfig(layers=2, heads=2, hidden=16, inner=32, image=32, patch=8, projection=8)
for precision in PRECISIONS:
    config, weights = json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    save(build_graph(config, weights, precision_of(precision).linear(None), {"pooling": "mean"}), target)
    print(precision, hashlib.sha256(target.read_bytes()).hexdigest())
    save(vision.build(clip, synthetic.clip_vision(clip), precision_of(precision).linear(None)), target)
    print(precision, hashlib.sha256(target.read_bytes()).hexdigest())
"""


def test_building_a_version_twice_gives_the_same_bytes(tiny: TinyModel, tmp_path: Path) -> None:
    """In two processes that order sets and hashes differently."""
    command = [sys.executable, "-c", BUILD, str(tiny.folder), str(tmp_path / "graph.onnx")]
    builds = [
        subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=ROOT, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    ]
    assert builds[0] == builds[1]
    assert len(set(builds[0].split())) >= 6


def test_pulling_again_and_building_anew_give_the_same_artifact(spec: ModelSpec, artifact: Artifact) -> None:
    before = artifact.graph.read_bytes(), artifact.graph.stat().st_mtime_ns
    assert pull(spec, allow_synthetic=False) == artifact
    assert artifact.graph.stat().st_mtime_ns == before[1], "it was built again although it was whole"
    artifact.graph.unlink()
    assert pull(spec, allow_synthetic=False) == artifact
    assert artifact.graph.read_bytes() == before[0]
