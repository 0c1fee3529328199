"""A CLIP tower that PyTorch exported is built anew of the weights in its graph: uint8 pixels in, the library's vectors out."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from models.catalog.build import build_exported
from models.catalog.catalog import Catalog
from models.catalog.exported import weights_of
from models.errors import ArtifactError
from models.fidelity import cosines
from models.graph import clip_text, vision
from models.graph.card import for_cards
from models.graph.linear import Fp16Linear, Fp32Linear, Linear
from tests.data.zoo.families import DATA

FOUND = np.load(DATA / "exported.npz")
SIZES = {"layers": 2, "heads": 2, "hidden": 32, "inner": 64, "projection": 16}
VISION = vision.ClipVisionConfig(**SIZES, image=32, patch=8)
TEXT = clip_text.ClipTextConfig(**SIZES, vocabulary=100, positions=12)
PRECISIONS = pytest.mark.parametrize(
    ("linear", "least"), [(Fp32Linear(), 0.999999), (Fp16Linear(), 0.9999)], ids=["fp32", "fp16"]
)


def exported(tower: str) -> onnx.ModelProto:
    return onnx.load(DATA / f"exported-{tower}.onnx")


def computed(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    session = ort.InferenceSession(for_cards(model).SerializeToString(), providers=["CPUExecutionProvider"])
    vectors: np.ndarray = session.run(None, inputs)[0]
    return vectors


@PRECISIONS
def test_an_exported_image_tower_gives_its_librarys_vectors_for_uint8_pixels(linear: Linear, least: float) -> None:
    vectors = computed(vision.build(VISION, weights_of(exported("image")), linear), {"pixels": FOUND["pixels"]})
    assert cosines(vectors, FOUND["image"]).min() >= least


@PRECISIONS
def test_an_exported_text_tower_gives_its_librarys_vectors(linear: Linear, least: float) -> None:
    inputs = {"input_ids": FOUND["tokens"], "attention_mask": FOUND["mask"]}
    vectors = computed(clip_text.build(TEXT, weights_of(exported("text")), linear), inputs)
    assert cosines(vectors, FOUND["text"]).min() >= least


def test_a_tower_of_another_size_than_the_usual_is_refused_with_both() -> None:
    spec = Catalog.load().find("image-embedding@1.4.0")
    with pytest.raises(ArtifactError, match=r"of shape \[768, 3, 32, 32\], and the weights have \[32, 3, 8, 8\]"):
        build_exported(spec, exported("image"))


def test_a_graph_of_another_family_is_refused() -> None:
    spec = Catalog.load().find("image-embedding@1.4.0")
    with pytest.raises(ArtifactError, match="graphs are built for"):
        build_exported(spec, exported("text"))
