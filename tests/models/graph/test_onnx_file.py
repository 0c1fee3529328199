"""Model files that reach beyond their folder, or want code of their own, are refused before anything opens them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from models.catalog.artifact import content_hash
from models.catalog.build import load_weights
from models.catalog.custom import describe_folder
from models.catalog.download import Silent
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import ROOT
from models.catalog.source_entry import FileSource
from models.catalog.sources import fetch
from models.catalog.store import pull
from models.engine.engine import Engine
from models.engine.session import EngineOptions, shared_session
from models.errors import ArtifactError
from models.file_digest import file_sha256
from models.graph.onnx_file import check, contents, digest, load
from models.inputs.preparation import Preparation
from models.modalities.image_graph import run_pixels
from tests.models.loading import artifact_of

WEIGHT = np.arange(192, dtype=np.float32)
Place = Callable[[TensorProto], onnx.ModelProto]


def tensor(location: str) -> TensorProto:
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[192], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", str(WEIGHT.nbytes))):
        made.external_data.add(key=key, value=value)
    return made


def model(
    nodes: list[onnx.NodeProto], initializers: list[TensorProto] | None = None, domain: str | None = None
) -> onnx.ModelProto:
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, 8, 8])
    output = helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", 192])
    graph = helper.make_graph(nodes, "g", [pixels], [output], initializers or [])
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain is not None else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def body() -> list[onnx.NodeProto]:
    return [helper.make_node("Flatten", ["pixel_values"], ["f"]), helper.make_node("Add", ["f", "w"], ["image_embeds"])]


def in_initializer(weight: TensorProto) -> onnx.ModelProto:
    return model(body(), [weight])


def in_attribute(weight: TensorProto) -> onnx.ModelProto:
    return model([helper.make_node("Constant", [], ["w"], value=weight), *body()])


def in_branch(weight: TensorProto) -> onnx.ModelProto:
    """A tensor of a graph inside a node of the graph."""
    value = helper.make_tensor_value_info("b", TensorProto.FLOAT, [192])
    branch = helper.make_graph([helper.make_node("Identity", ["w2"], ["b"])], "branch", [], [value])
    renamed = TensorProto.FromString(weight.SerializeToString())
    renamed.name = "w2"
    branch.initializer.append(renamed)
    chosen = helper.make_node("If", ["yes"], ["w"], then_branch=branch, else_branch=branch)
    return model([chosen, *body()], [helper.make_tensor("yes", TensorProto.BOOL, [], [True])])


def in_function(weight: TensorProto) -> onnx.ModelProto:
    made = model([helper.make_node("Weight", [], ["w"], domain="own"), *body()], domain="own")
    constant = helper.make_node("Constant", [], ["v"], value=weight)
    made.functions.append(helper.make_function("own", "Weight", [], ["v"], [constant], [helper.make_opsetid("", 17)]))
    return made


def in_sparse(weight: TensorProto) -> onnx.ModelProto:
    made = model(body())
    made.graph.sparse_initializer.add(values=weight, dims=[192])
    return made


PLACES: dict[str, Place] = {
    "an initializer": in_initializer,
    "an attribute": in_attribute,
    "a branch": in_branch,
    "a function": in_function,
    "a sparse initializer": in_sparse,
}
LEAVING = [
    "../secret.bin",
    "./../secret.bin",
    "sub/../../secret.bin",
    "../folder/../secret.bin",
    "{outside}/secret.bin",
    "/dev/zero",
    "/proc/self/environ",
    "link.bin",
    "linked-folder/secret.bin",
    "",
    ".",
    "sub",
    "missing.bin",
    "..",
    "..\\secret.bin",
    "a\0b",
    "*/_ORT_MEM_ADDR_/*",
    "file:///etc/passwd",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with weights, beside a file that is nobody's business."""
    (tmp_path / "secret.bin").write_bytes(WEIGHT.tobytes())
    inside = tmp_path / "folder"
    (inside / "sub").mkdir(parents=True)
    (inside / "weights.bin").write_bytes(WEIGHT.tobytes())
    (inside / "sub" / "weights.bin").write_bytes(WEIGHT.tobytes())
    (inside / "link.bin").symlink_to("../secret.bin")
    (inside / "linked-folder").symlink_to("..")
    return inside


def written(folder: Path, made: onnx.ModelProto, name: str = "model.onnx") -> Path:
    path = folder / name
    path.write_bytes(made.SerializeToString())
    return path


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("location", LEAVING)
def test_weights_outside_the_folder_are_refused_wherever_the_graph_names_them(
    folder: Path, place: Place, location: str
) -> None:
    path = written(folder, place(tensor(location.replace("{outside}", str(folder.parent)))))
    for attempt in (check, load, Engine):
        with pytest.raises(ArtifactError, match=r"model\.onnx names weights at") as caught:
            attempt(path)
        assert str(folder) not in str(caught.value)


@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin", "sub/weights.bin"])
def test_weights_inside_the_folder_are_loaded(folder: Path, location: str) -> None:
    path = written(folder, in_initializer(tensor(location)))
    vectors = run_pixels(Engine(path), np.zeros((1, 8, 8, 3), np.uint8), Preparation.clip(8))
    assert vectors.shape == (1, 192)


def test_the_hash_of_a_model_covers_its_weights_in_other_files(folder: Path) -> None:
    path = written(folder, in_initializer(tensor("weights.bin")))
    before = digest(path)
    graph = file_sha256(path)
    (folder / "weights.bin").write_bytes((WEIGHT + 1).tobytes())
    assert file_sha256(path) == graph
    assert digest(path) != before


def test_equal_graphs_with_other_weights_do_not_share_a_session(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights.bin").write_bytes((WEIGHT * 2).tobytes())
    paths = [written(place, in_initializer(tensor("weights.bin"))) for place in (folder, other)]
    sessions = [shared_session(path, EngineOptions(), 1) for path in paths]
    zeros = np.zeros((1, 3, 8, 8), np.float32)
    first, second = (session.run(None, {"pixel_values": zeros})[0] for session in sessions)
    np.testing.assert_array_equal(second, first * 2)


def test_a_model_in_one_file_keeps_the_hash_that_it_had() -> None:
    artifact = artifact_of("text-embedding@1.0.0")
    assert digest(artifact.graph) == file_sha256(artifact.graph)
    assert content_hash(artifact.spec, artifact.graph, artifact.tokenizer) == artifact.hash


@pytest.mark.parametrize("domain", ["evil.ops", "ai.onnx.contrib", "com.microsoft.extensions", "AI.ONNX"])
def test_operators_that_need_a_library_of_their_own_are_refused_by_name(folder: Path, domain: str) -> None:
    nodes = [helper.make_node("Evil", ["pixel_values"], ["image_embeds"], domain=domain)]
    path = written(folder, model(nodes, domain=domain))
    with pytest.raises(ArtifactError, match="custom operators are not loaded") as caught:
        Engine(path)
    assert repr(domain) in str(caught.value)


def test_operators_inside_a_branch_count_too(folder: Path) -> None:
    value = helper.make_tensor_value_info("b", TensorProto.FLOAT, [192])
    branch = helper.make_graph([helper.make_node("Evil", ["f"], ["b"], domain="evil.ops")], "branch", [], [value])
    nodes = [body()[0], helper.make_node("If", ["yes"], ["image_embeds"], then_branch=branch, else_branch=branch)]
    path = written(folder, model(nodes, [helper.make_tensor("yes", TensorProto.BOOL, [], [True])], "evil.ops"))
    with pytest.raises(ArtifactError, match=r"evil\.ops"):
        check(path)


def test_code_compiled_for_an_accelerator_is_refused(folder: Path) -> None:
    nodes = [helper.make_node("EPContext", ["pixel_values"], ["image_embeds"], domain="com.microsoft", embed_mode=0)]
    with pytest.raises(ArtifactError, match="EPContext"):
        Engine(written(folder, model(nodes, domain="com.microsoft")))


def test_functions_that_a_file_defines_itself_are_no_custom_operators(folder: Path) -> None:
    check(written(folder, in_function(tensor("weights.bin"))))


def test_no_library_of_operators_is_ever_registered() -> None:
    """The one way in which ONNX Runtime loads code that a user brings."""
    sources = [path for folder in ("models", "deployments") for path in (ROOT / folder).rglob("*.py")]
    assert sources
    for path in sources:
        text = path.read_text()
        assert "register_custom_ops_library" not in text
        assert "import pickle" not in text
        assert "allow_pickle=True" not in text


class Bomb:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_is_never_opened_whatever_it_is_called(tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    data = pickle.dumps(Bomb(mark))
    for name in ("model.safetensors", "pytorch_model.bin", "model.onnx", "tokenizer.json", "config.json"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ArtifactError, match="do not load"):
        load_weights(tmp_path / "model.safetensors")
    with pytest.raises(ArtifactError, match="no ONNX file"):
        Engine(tmp_path / "model.onnx")
    with pytest.raises((ArtifactError, ValueError)):
        describe_folder("a@1", tmp_path)
    for name in ("model.safetensors", "model.onnx"):
        (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match="pickled weights"):
        describe_folder("a@1", tmp_path)
    assert not mark.exists()
    pickle.loads(data)
    assert mark.exists(), "the bomb does work"


def test_the_store_takes_no_model_whose_weights_lie_in_other_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    path = written(folder, in_initializer(tensor("weights.bin")))
    source = FileSource(folder=str(folder), files={path.name: file_sha256(path)})
    spec = ModelSpec(
        model="m",
        version="1",
        name="m",
        path="./models/store/m.onnx",
        type="image",
        dimensions=192,
        config={"image_size": 8},
        sources=[source],
    )
    assert fetch(source, tmp_path / "files", Silent())
    with pytest.raises(ArtifactError, match="save it as a single file"):
        pull(spec, allow_synthetic=False)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xff" * 20, b"<html>", b"\x3a\xff\xff\xff\xff\x7f", b"\x3b\x00", b"\x39\x01"]
)
def test_damaged_files_are_one_clear_error_or_an_empty_model(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ArtifactError):
        Engine(path)


def test_a_file_cut_anywhere_never_raises_anything_else(folder: Path) -> None:
    whole = in_branch(tensor("weights.bin")).SerializeToString()
    path = folder / "cut.onnx"
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        try:
            contents(path)
        except ArtifactError:
            continue


@given(st.binary(max_size=400))
def test_any_bytes_are_a_model_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(data)
    try:
        contents(path)
    except ArtifactError:
        return
