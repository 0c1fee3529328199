from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.modalities.text import TextEmbedder

DATA = Path(__file__).resolve().parents[2] / "data"
TEXTS: list[str] = json.loads((DATA / "texts.json").read_text())
GOLDEN = DATA / "golden"


@pytest.fixture(scope="module")
def reference() -> NDArray[np.float64]:
    vectors: NDArray[np.float64] = np.load(DATA / "texts.npz")["vectors"].astype(np.float64)
    return vectors


def cosines(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.float64]:
    a, b = a.astype(np.float64), b.astype(np.float64)
    product: NDArray[np.float64] = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return product


def test_the_reference_covers_enough_texts_that_differ(reference: NDArray[np.float64]) -> None:
    assert len(TEXTS) == len(reference) == len(set(TEXTS)) >= 200
    assert len(np.unique(reference.round(5), axis=0)) >= 200


@pytest.mark.parametrize("together", [True, False], ids=["all texts in one call", "each text in a call of its own"])
def test_vectors_match_sentence_transformers(
    text_embedder: TextEmbedder, reference: NDArray[np.float64], together: bool
) -> None:
    vectors = text_embedder.embed(TEXTS) if together else np.concatenate([text_embedder.embed([t]) for t in TEXTS])
    found = cosines(vectors, reference)
    worst = int(found.argmin())
    assert found[worst] >= 0.999999, f"{TEXTS[worst][:60]!r} has cosine {found[worst]:.8f}"
    assert np.abs(vectors - reference).max() < 1e-5
    assert np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1).max() < 1e-6


def test_hello_world_is_the_vector_that_fastembed_published(text_embedder: TextEmbedder) -> None:
    vector = text_embedder.embed(["hello world"])[0]
    assert vector[:5] == pytest.approx([-0.034478, 0.03102, 0.00673, 0.02611, -0.039362], abs=1e-4)


def test_cosines_are_those_of_sentence_transformers_readme(text_embedder: TextEmbedder) -> None:
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    a, b, c = text_embedder.embed(texts)
    assert [a @ b, a @ c, b @ c] == pytest.approx([0.6660, 0.1046, 0.1411], abs=1e-4)


def test_a_sentence_is_the_vector_that_kserve_published(text_embedder: TextEmbedder) -> None:
    published = json.loads((GOLDEN / "kserve_text_embedding_expected.json").read_text())
    assert text_embedder.embed(["This is an example sentence."])[0] == pytest.approx(published, abs=1e-4)


def test_a_question_points_where_text_embeddings_inference_published(text_embedder: TextEmbedder) -> None:
    published = np.array(json.loads((GOLDEN / "tei_deep_learning_expected.json").read_text()))
    assert cosines(text_embedder.embed(["What is Deep Learning?"])[0], published) >= 0.999999
