"""Graphs of standard operators, as other providers than ONNX Runtime's own need them, compute what the fused ones do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from models.catalog.build import build_weights
from models.catalog.catalog import Catalog
from models.graph import clip_text, synthetic, vision
from models.graph.builder import save
from models.graph.linear import Bf16Linear, Fp32Linear, Linear
from models.graph.onnx_file import contents
from models.graph.precision import precision_of
from tests.data.tiny import TinyModel

TEXT = clip_text.ClipTextConfig(layers=2, heads=2, hidden=32, inner=64, vocabulary=100, positions=12, projection=16)
VISION = vision.ClipVisionConfig(layers=2, heads=2, hidden=32, inner=64, image=32, patch=8, projection=16)
LENGTHS = (12, 1, 7)


def ids() -> dict[str, np.ndarray]:
    mask = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int64)
    return {"input_ids": np.random.default_rng(1).integers(1, 9, mask.shape) * mask, "attention_mask": mask}


def pixels() -> dict[str, np.ndarray]:
    return {"pixels": np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)}


def bert(linear: Linear, tiny: TinyModel) -> onnx.ModelProto:
    spec = Catalog.load().find("text-embedding@1.0.0").model_copy(update={"precision": linear.precision})
    return build_weights(spec, {path.name: path for path in tiny.folder.iterdir()})


TOWERS: dict[str, tuple[Callable[[Linear, TinyModel], onnx.ModelProto], dict[str, np.ndarray]]] = {
    "BERT": (bert, ids()),
    "CLIP's text tower": (lambda linear, _: clip_text.build(TEXT, synthetic.clip_text(TEXT), linear), ids()),
    "CLIP's image tower": (lambda linear, _: vision.build(VISION, synthetic.clip_vision(VISION), linear), pixels()),
}


@pytest.mark.parametrize(("build", "inputs"), TOWERS.values(), ids=TOWERS)
def test_the_standard_graph_computes_the_same_vectors(
    build: Callable[[Linear, TinyModel], onnx.ModelProto],
    inputs: dict[str, np.ndarray],
    tiny: TinyModel,
    tmp_path: Path,
) -> None:
    found = []
    for linear in (Fp32Linear(), Bf16Linear()):
        path = tmp_path / f"{linear.precision}.onnx"
        save(build(linear, tiny), path)
        session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found.append(session.run(None, inputs)[0])
    assert contents(path).domains == {""}
    assert contents(tmp_path / "fp32.onnx").integers is contents(path).integers is False
    np.testing.assert_allclose(found[1], found[0], atol=2e-6)
    assert precision_of("bf16").bf16
