"""What a header tells is what Pillow finds, and a look at one never takes long."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from models.errors import InputError, LimitError
from models.inputs.image import decode
from models.inputs.image_header import ImageLimits, check_header, format_of, size_of
from tests.faults.hostile.pictures import FOREIGN, MODES, encoded, scene
from tests.faults.mutate import pictures

PICTURES = sorted((Path(__file__).parents[2] / "data" / "pictures").iterdir())
FORMATS = ImageLimits().formats


def refusal(of: Callable[[], object]) -> tuple[type[InputError], str, str] | None:
    try:
        of()
    except InputError as error:
        return type(error), str(error), error.code
    return None


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_format_and_size_are_those_that_pillow_finds(path: Path) -> None:
    with Image.open(path) as image:
        assert (format_of(path.read_bytes()), size_of(path.read_bytes())) == (image.format, image.size)


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name in FORMATS for mode in MODES[name]])
def test_every_mode_of_every_format_has_a_header_that_tells_its_size(name: str, mode: str) -> None:
    assert size_of(encoded(scene(37, 21, mode), name)) == (37, 21)


@pytest.mark.parametrize("name", FORMATS)
def test_the_header_gives_the_refusal_that_the_decoder_gives(name: str) -> None:
    data = encoded(scene(60, 40), name)
    for limits in (
        ImageLimits(pixels=2399),
        ImageLimits(side=59),
        ImageLimits(formats=tuple(other for other in FORMATS if other != name)),
    ):
        found = refusal(lambda limits=limits: check_header(data, limits))
        assert found is not None
        assert found == refusal(lambda limits=limits: decode(data, 32, limits))
    check_header(data, ImageLimits(pixels=2400, side=60, formats=(name,)))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_view_of_a_body_is_judged_as_the_picture_in_it(path: Path) -> None:
    data = path.read_bytes()
    view = memoryview(b"before" + data + b"behind")[6:-6]
    for limits in (ImageLimits(), ImageLimits(pixels=1), ImageLimits(side=1), ImageLimits(formats=("BMP",))):
        assert refusal(partial(check_header, view, limits)) == refusal(partial(check_header, data, limits))


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_image_is_refused_as_the_decoder_does(name: str) -> None:
    with pytest.raises(InputError, match="not a decodable image") as caught:
        check_header(FOREIGN[name], ImageLimits())
    assert caught.value.code == "invalid_image"


def test_a_format_that_only_pillow_knows_is_left_to_it() -> None:
    icon = encoded(scene(16, 16), "ICO")
    check_header(icon, ImageLimits(formats=("PNG", "ICO")))
    with pytest.raises(InputError, match="accepted: PNG"):
        check_header(icon, ImageLimits(formats=("PNG",)))


def test_a_big_tiff_is_left_to_the_decoder_which_refuses_it() -> None:
    data = encoded(scene(60, 40), "TIFF", big_tiff=True)
    assert (format_of(data), size_of(data)) == ("TIFF", None)
    check_header(data, ImageLimits(pixels=10))
    with pytest.raises(LimitError, match="60×40"):
        decode(data, 32, ImageLimits(pixels=10))


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
def test_what_the_header_refuses_pillow_refuses_too() -> None:
    """Of four thousand damaged files; the other way round the decoder has the last word."""
    limits = ImageLimits(pixels=700, side=100)
    refused = 0
    for data in pictures(seed=5, count=4000):
        if refusal(lambda data=data: check_header(data, limits)) is None:
            continue
        refused += 1
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
        except Exception:
            continue
        assert width * height > limits.pixels or max(width, height) > limits.side, data[:64]
    assert refused > 500


JPEG = encoded(scene(16, 16), "JPEG")
SLOW = {
    "fill bytes": JPEG[:2] + b"\xff" * (20 << 20),
    "empty comments": JPEG[:2] + b"\xff\xfe\x00\x02" * (5 << 20) + JPEG[2:],
    "segments without a length": JPEG[:2] + b"\xff\xfe\x00\x00" * (5 << 20),
    "65,535 TIFF entries": b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 254, 4, 1, 0) * 65_535,
}


@pytest.mark.parametrize("name", SLOW)
def test_a_look_at_a_hostile_header_is_over_soon(name: str) -> None:
    start = time.thread_time()
    assert size_of(SLOW[name]) is None
    assert time.thread_time() - start < 0.01


@pytest.mark.parametrize("name", FORMATS)
def test_a_header_that_is_cut_off_tells_nothing(name: str) -> None:
    data = encoded(scene(16, 16), name)
    sizes = {size_of(data[:cut]) for cut in range(3, 40)}
    assert sizes <= {None, (16, 16)}
