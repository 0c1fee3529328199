"""How far quantised vectors lie from exact ones, on real texts and pictures."""

from __future__ import annotations

import numpy as np
import pytest

from bench.loads.corpus import readme_texts, texts
from models.fidelity import Fidelity, compare
from tests.models.loading import text_model


@pytest.mark.slow
def test_int8_text_vectors_lie_close_to_fp32_on_twelve_hundred_real_texts() -> None:
    sample = texts(1200)
    result = compare(text_model("text-embedding@1.0.0").embed(sample), text_model("text-embedding@1.1.0").embed(sample))
    assert result.mean >= 0.9985
    assert result.lowest >= 0.99
    assert result.overlap >= 0.96


def test_int8_text_vectors_lie_close_to_fp32_on_a_hundred_texts_of_readmes() -> None:
    sample = readme_texts(100)
    assert len(sample) == 100
    result = compare(text_model("text-embedding@1.0.0").embed(sample), text_model("text-embedding@1.1.0").embed(sample))
    assert result.mean >= 0.9985
    assert result.lowest >= 0.99


def test_a_version_compared_with_itself_is_the_same_in_every_respect() -> None:
    vectors = np.eye(12, 16, dtype=np.float32)
    assert compare(vectors, vectors) == Fidelity(count=12, mean=1.0, lowest=1.0, percentile=1.0, overlap=1.0)
