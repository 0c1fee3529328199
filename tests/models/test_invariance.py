"""A vector is a function of its input alone: the same bits alone, in company, at any position, with any padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.inputs.token_ids import pad
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder
from tests.models.loading import embedder_of, text_model

TEXT_VERSIONS = [
    "text-embedding@1.0.0",
    "text-embedding@1.1.0",
    "text-embedding@1.2.0",
    "clip-text-embedding@1.0.0",
    "clip-text-embedding@1.1.0",
]
IMAGE_VERSIONS = ["image-embedding@1.0.0", "image-embedding@1.1.0", "image-embedding@1.2.0"]
RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
BATCH = 64


def random_rows(version: str, seed: int, longest: int, count: int) -> list[np.ndarray]:
    """Token ids of mixed lengths, with the tokenizer's own start and end."""
    model = text_model(version)
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, longest - 1, count)
    return [model.tokenizer.wrap(generator.integers(1000, 20000, n).tolist()) for n in lengths]


def padded(model: TextEmbedder, rows: list[np.ndarray], extra: int) -> np.ndarray:
    """Embed rows with ``extra`` columns of padding beyond the longest."""
    ids, mask = (np.pad(a, ((0, 0), (0, extra))) for a in pad(rows))
    return model.run_padded(ids, mask)


@pytest.mark.parametrize(
    "every", [pytest.param(1, marks=pytest.mark.slow, id="every one"), pytest.param(5, id="a fifth")]
)
@pytest.mark.parametrize("version", TEXT_VERSIONS)
def test_texts_of_a_batch_of_64_have_the_bits_they_have_alone(version: str, every: int) -> None:
    model = text_model(version)
    rows = random_rows(version, 0, model.tokenizer.max_length, BATCH)
    together = padded(model, rows, 0)
    for row, vector in list(zip(rows, together, strict=True))[::every]:
        np.testing.assert_array_equal(model.run_padded(*pad([row]))[0], vector)


@pytest.mark.parametrize(
    "examples", [pytest.param(12, marks=pytest.mark.slow, id="twelve batches"), pytest.param(4, id="four")]
)
@pytest.mark.parametrize("version", TEXT_VERSIONS)
def test_text_bits_do_not_depend_on_company_position_or_padding(version: str, examples: int) -> None:
    model = text_model(version)

    @settings(RELAXED, max_examples=examples)
    @given(
        seed=st.integers(0, 2**31),
        count=st.integers(1, BATCH),
        longest=st.integers(2, 70),
        extra=st.integers(0, 7),
        data=st.data(),
    )
    def check(seed: int, count: int, longest: int, extra: int, data: st.DataObject) -> None:
        rows = random_rows(version, seed, longest, count)
        position = data.draw(st.integers(0, count - 1))
        alone = model.run_padded(*pad([rows[position]]))[0]
        np.testing.assert_array_equal(padded(model, rows, extra)[position], alone)
        np.testing.assert_array_equal(padded(model, rows[::-1], 0)[count - 1 - position], alone)

    check()


@pytest.mark.parametrize("version", IMAGE_VERSIONS)
def test_image_bits_do_not_depend_on_company_or_position(version: str) -> None:
    model = embedder_of(version)
    assert isinstance(model, ImageEmbedder)

    @settings(RELAXED, max_examples=3)
    @given(seed=st.integers(0, 2**31), count=st.integers(1, 9), data=st.data())
    def check(seed: int, count: int, data: st.DataObject) -> None:
        pixels = np.random.default_rng(seed).integers(0, 256, (count, *model.shape), np.uint8)
        position = data.draw(st.integers(0, count - 1))
        together = model.run_pixels(pixels)
        np.testing.assert_array_equal(model.run_pixels(pixels[position : position + 1])[0], together[position])

    check()


@pytest.mark.slow
@pytest.mark.parametrize("version", IMAGE_VERSIONS)
def test_every_image_of_a_batch_of_64_has_the_bits_it_has_alone(version: str) -> None:
    model = embedder_of(version)
    assert isinstance(model, ImageEmbedder)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, *model.shape), np.uint8)
    together = model.run_pixels(pixels)
    for index, vector in enumerate(together):
        np.testing.assert_array_equal(model.run_pixels(pixels[index : index + 1])[0], vector)
