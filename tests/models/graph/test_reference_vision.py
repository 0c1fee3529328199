from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.modalities.image import ImageEmbedder

DATA = Path(__file__).resolve().parents[2] / "data"
with np.load(DATA / "vision.npz") as _archive:
    NAMES = [str(name) for name in _archive["names"]]
    REFERENCE: NDArray[np.float64] = _archive["vectors"].astype(np.float64)


@pytest.fixture(scope="module")
def vectors(synthetic_image_embedder: ImageEmbedder) -> NDArray[np.float64]:
    return synthetic_image_embedder.embed([(DATA / name).read_bytes() for name in NAMES]).astype(np.float64)


@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_vectors_match_transformers_on_the_same_weights(vectors: NDArray[np.float64], index: int) -> None:
    vector = vectors[index]
    assert abs(np.linalg.norm(vector) - 1) < 1e-6
    assert vector @ REFERENCE[index] >= 0.99999
    assert vector == pytest.approx(REFERENCE[index], abs=1e-5)


def test_the_references_vectors_tell_pictures_apart() -> None:
    similarities = REFERENCE @ REFERENCE.T
    assert np.median(similarities[np.triu_indices(len(NAMES), 1)]) < 0.995
