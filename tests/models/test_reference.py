"""`models verify --reference`: a model of each kind beside its own library, which runs in another Python."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.catalog.custom import describe_folder
from models.catalog.store import pull
from models.embedder import open_embedder
from models.reference.compare import reference_check
from tests.data.zoo.families import PICTURE_CASES, TEXT_CASES, write_picture, write_text, write_whole
from tests.data.zoo.text_mutations import rich

VARIABLE = "EMBEDSERVE_REFERENCE_PYTHON"
PYTHON = os.environ.get(VARIABLE)
pytestmark = pytest.mark.skipif(PYTHON is None, reason=f"{VARIABLE} names no Python that has the libraries")
CASES: dict[str, tuple[Literal["image", "text"], Callable[[Path], Path]]] = {
    "a sentence encoder with prompts and a dense layer": ("text", rich("base", new=True).write),
    "RoBERTa": ("text", partial(write_text, next(case for case in TEXT_CASES if case.name == "roberta"))),
    "CLIP's texts": ("text", partial(write_whole, "clip")),
    "SigLIP's texts": ("text", partial(write_whole, "siglip")),
    **{case.name: ("image", partial(write_picture, case)) for case in PICTURE_CASES},
}


@pytest.mark.parametrize("name", CASES)
def test_a_model_gives_the_vectors_of_its_own_library(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    tower, write = CASES[name]
    artifact = pull(describe_folder("zoo@1", write(tmp_path / "model"), "fp32", tower), allow_synthetic=False)
    passed, shown = reference_check(artifact, open_embedder(artifact), Path(str(PYTHON)))
    assert passed, shown


@pytest.mark.parametrize("tower", ["image", "text"])
def test_another_model_than_the_librarys_is_found_out(
    tower: Literal["image", "text"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    folder = write_picture(PICTURE_CASES[0], tmp_path / "model")
    artifact = pull(describe_folder("zoo@1", folder, "fp32", tower), allow_synthetic=False)
    name = "visual_projection.weight" if tower == "image" else "text_projection.weight"
    weights = load_file(folder / "model.safetensors")
    noise = np.random.Generator(np.random.PCG64(0)).standard_normal(weights[name].shape, dtype=np.float32)
    save_file({**weights, name: weights[name] + noise * 0.02}, folder / "model.safetensors", {"format": "pt"})
    passed, shown = reference_check(artifact, open_embedder(artifact), Path(str(PYTHON)))
    assert not passed
    assert "lowest cosine" in shown
