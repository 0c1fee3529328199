"""JPEGs that libjpeg shrinks while it decodes: real photos, enlarged as a phone's camera would have taken them."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from models.catalog.artifact import Artifact, with_shrinking
from models.catalog.model_spec import ModelSpec
from models.errors import ArtifactError, CatalogError, InputError
from models.inputs.image import Pixels, decode
from models.modalities.image import ImageEmbedder
from models.modalities.image_config import SHRINK_MARGIN
from tests.data.picture_cases import scene

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
SIZE = 224
ORIENTATION = 0x0112  # EXIF tag
COSINE = 0.9995
PIXELS = 0.5  # mean difference in steps of 255; at a third of the margin it is 0.65, without the box 0.57 and more


@lru_cache(maxsize=4)  # the largest take 130 MB
def photo(name: str, short: int, mode: str = "RGB") -> Image.Image:
    image = Image.fromarray(getattr(skimage.data, name)()).convert(mode)
    scale = short / min(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def shrunk(data: bytes, margin: int = SHRINK_MARGIN, size: int = SIZE) -> Pixels:
    return decode(data, size, shrink_margin=margin)


def difference(data: bytes) -> float:
    """Mean difference of the two ways to decode; above 0, or nothing was shrunk."""
    mean = float(np.abs(decode(data).astype(int) - shrunk(data)).mean())
    assert mean > 0
    return mean


ENCODINGS: dict[str, dict[str, Any]] = {
    "quality 75, colour halved both ways": {"quality": 75, "subsampling": 2},
    "quality 90, colour halved sideways": {"subsampling": 1},
    "quality 95, full colour": {"quality": 95, "subsampling": 0},
    "progressive": {"progressive": True},
}


@pytest.mark.parametrize(
    ("options", "by"),
    [
        pytest.param(options, by, id=f"{name}-one in {by}", marks=[pytest.mark.slow] if by == 8 and number else [])
        for by in (2, 4, 8)
        for number, (name, options) in enumerate(ENCODINGS.items())
    ],
)
def test_pixels_and_vectors_stay_where_they_were(
    synthetic_image_embedder: ImageEmbedder, options: dict[str, Any], by: int
) -> None:
    # One pixel more than needed: the picture ends within the last decoded row.
    names = PHOTOS[:2] if by == 8 else PHOTOS
    files = [jpeg(photo(name, by * SHRINK_MARGIN * SIZE + 1), **options) for name in names]
    assert max(difference(data) for data in files) < PIXELS
    exact = synthetic_image_embedder.embed_pixels(np.stack([decode(data) for data in files]))
    moved = synthetic_image_embedder.embed_pixels(np.stack([shrunk(data) for data in files]))
    assert (exact.astype(float) * moved).sum(axis=1).min() >= COSINE


@pytest.mark.parametrize("mode", ["L", "CMYK"], ids=["grey", "four inks"])
def test_other_colour_spaces_stay_where_they_were(mode: str) -> None:
    assert difference(jpeg(photo("chelsea", 1400, mode))) < PIXELS


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1801, 1399), (1399, 1801)], ids=["wide", "tall"])
def test_a_turned_picture_is_turned_the_same_way(orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = jpeg(Image.fromarray(scene(300, 200)).resize(size, Image.Resampling.BICUBIC), exif=exif)
    assert difference(data) < PIXELS


def test_a_phones_picture_with_a_second_view_is_shrunk_too() -> None:
    buffer = io.BytesIO()
    photo("coffee", 1400).save(buffer, "MPO", save_all=True, append_images=[photo("rocket", 1400)])
    assert difference(buffer.getvalue()) < PIXELS


@pytest.mark.parametrize(
    ("short", "divisor"),
    [(1343, 1), (1344, 2), (2687, 2), (2688, 4), (5375, 4), (5376, 8)],
    ids=str,
)
def test_shrinking_leaves_the_margin(short: int, divisor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    from PIL.JpegImagePlugin import JpegImageFile

    plain = JpegImageFile.draft

    def draft(self: JpegImageFile, mode: str | None, size: tuple[int, int] | None) -> Any:
        result = plain(self, mode, size)
        asked.append(self.size)
        return result

    monkeypatch.setattr(JpegImageFile, "draft", draft)
    shrunk(jpeg(Image.new("RGB", (short + 500, short))))
    assert asked == ([] if divisor == 1 else [(-(-(short + 500) // divisor), -(-short // divisor))])


def test_small_pictures_and_other_formats_keep_the_references_bits() -> None:
    small = jpeg(photo("coffee", 1343))
    assert (shrunk(small) == decode(small)).all()
    buffer = io.BytesIO()
    photo("coffee", 1400).save(buffer, "WEBP")
    assert (shrunk(buffer.getvalue()) == decode(buffer.getvalue())).all()


def test_the_same_bytes_give_the_same_pixels() -> None:
    data = jpeg(photo("coffee", 2700))
    assert (shrunk(data) == shrunk(data)).all()
    assert (shrunk(data, margin=0) == decode(data)).all()


@pytest.mark.parametrize("percent", [1, 30, 60, 99], ids=lambda percent: f"cut at {percent} %")
def test_a_cut_picture_is_an_input_error(percent: int) -> None:
    data = jpeg(photo("rocket", 1400))
    with pytest.raises(InputError, match="not a decodable image"):
        shrunk(data[: len(data) * percent // 100])


def test_shrinking_decides_vectors_and_so_the_hash(synthetic_image_artifact: Artifact) -> None:
    on = with_shrinking(synthetic_image_artifact, 3)
    hashes = {synthetic_image_artifact.hash, on.hash, with_shrinking(on, 4).hash}
    assert len(hashes) == 3
    assert with_shrinking(on, 0).hash == synthetic_image_artifact.hash
    assert with_shrinking(on, None) is on
    assert ImageEmbedder(on).shrink_margin == 3


def test_a_catalogues_entry_and_a_user_config_that_say_the_same_have_one_hash(
    synthetic_image_artifact: Artifact,
) -> None:
    spec = synthetic_image_artifact.spec
    document = spec.model_dump() | {"config": {**spec.config, "shrink_margin": 3}}
    entry = Artifact(ModelSpec.model_validate(document), synthetic_image_artifact.graph, None, "")
    assert with_shrinking(entry, 3).hash == with_shrinking(synthetic_image_artifact, 3).hash


def test_an_embedder_shrinks_as_its_entry_says(synthetic_image_artifact: Artifact) -> None:
    data = jpeg(photo("astronaut", 1400))
    embedder = ImageEmbedder(with_shrinking(synthetic_image_artifact, 3))
    assert (embedder.embed([data]) == embedder.embed_pixels(shrunk(data)[None])).all()
    assert (embedder.embed([data]) != embedder.embed_pixels(decode(data)[None])).any()


def test_text_models_shrink_nothing(text_artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match="embeds text"):
        with_shrinking(text_artifact, 3)


@pytest.mark.parametrize("margin", [0, 1, 2, 65, 3.5, "3"])
def test_a_catalogue_refuses_margins_that_were_not_proven(synthetic_image_artifact: Artifact, margin: object) -> None:
    spec = synthetic_image_artifact.spec
    with pytest.raises((CatalogError, ValueError), match=r"config\.shrink_margin"):
        ModelSpec.model_validate(spec.model_dump() | {"config": {**spec.config, "shrink_margin": margin}})
