"""Traits of inputs, by which drift is measured: the same input gives the same, another language others."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.modalities.image import ImageEmbedder
from tests.models.loading import embedder_of

PICTURE = Path(__file__).parents[2] / "data" / "pictures" / "333x227.jpg"


def test_traits_of_texts_tell_languages_and_lengths_apart_without_knowing_any() -> None:
    embedder = embedder_of("text-embedding@1.1.0")
    prepare = embedder.preparation()
    texts = [
        "the weather is nice today and we walk",
        "сегодня хорошая погода и мы гуляем",
        "walk walk walk walk walk",
        "\U0001f9ff \U0001f9ff",
    ]
    english, russian, again, unknown = (
        embedder.traits(text, row)
        for text, row in zip(texts, prepare(texts), strict=True)  # type: ignore[arg-type]
    )
    assert english["characters_per_token"] > 2 * russian["characters_per_token"]
    assert russian["tokens"] > 2 * english["tokens"]
    assert (english["unknown"], unknown["unknown"]) == (0, 1)
    assert (english["repeated"], again["repeated"]) == (0, pytest.approx(0.8))
    ids = tuple(range(2000, 2400))
    (row,) = prepare([ids])
    assert "characters_per_token" not in embedder.traits(ids, row)  # type: ignore[arg-type]


def test_traits_of_pictures_are_their_sizes() -> None:
    data = PICTURE.read_bytes()
    traits = ImageEmbedder.traits(None, data, None)  # type: ignore[arg-type]
    assert traits == {"bytes": len(data), "megapixels": 333 * 227 / 1e6, "aspect": 333 / 227}
    assert ImageEmbedder.traits(None, b"no picture", None) == {"bytes": 10}  # type: ignore[arg-type]
