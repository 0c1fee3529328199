"""What is said of bytes that give no picture is true of them, and says what would be right."""

from __future__ import annotations

import base64
import gzip
import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from models.errors import InputError
from models.inputs.image import decode
from models.inputs.image_header import ImageLimits
from tests.faults.hostile.pictures import encoded

FORMATS = ImageLimits().formats
PHOTO = Image.fromarray(np.random.default_rng(3).integers(0, 255, (90, 120, 3), dtype=np.uint8))
WHOLE = {name: encoded(PHOTO, name) for name in FORMATS}


def said(data: bytes, formats: tuple[str, ...] = FORMATS) -> str:
    with pytest.raises(InputError) as caught:
        decode(data, 32, ImageLimits(formats))
    assert caught.value.code == "invalid_image"
    message = str(caught.value)
    assert "object at 0x" not in message
    assert len(message) < 300
    return message


def refusal(data: bytes) -> str | None:
    try:
        decode(data, 32)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_that_was_cut_off_anywhere_is_told_so_and_not_which_formats_are_accepted(name: str) -> None:
    data = WHOLE[name]
    for kept in (0.01, 0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        message = said(data[: max(20, int(len(data) * kept))])
        assert f" {name}, " in message, kept
        assert "cut off" in message, kept
        assert "send the whole file" in message, kept
        assert "accepted" not in message, kept


@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_with_noise_in_it_is_told_that_it_is_damaged_if_it_is_refused(name: str) -> None:
    generator = np.random.default_rng(5)
    for _ in range(200):
        data = bytearray(WHOLE[name])
        at = int(generator.integers(16, len(data) - 40))
        data[at : at + 32] = generator.bytes(32)
        refused = refusal(bytes(data))
        assert refused is None or any(words in refused for words in ("damaged", "cut off", "exceeds the limit")), (
            refused
        )
        assert refused is None or "accepted" not in refused


@pytest.mark.parametrize(("size", "packed"), [(2 << 20, True), (70 << 20, False)], ids=["packed", "plain"])
def test_a_png_whose_text_is_too_much_is_told_that_it_is_the_text(size: int, packed: bool) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * size, zip=packed)
    file = io.BytesIO()
    PHOTO.save(file, "PNG", pnginfo=info)
    assert "text chunks" in said(file.getvalue())


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_that_is_not_accepted_here_is_named(name: str) -> None:
    others = tuple(other for other in FORMATS if other != name)
    message = said(WHOLE[name], others)
    assert f"accepted: {', '.join(others)}" in message
    assert f"it is a {name}" in message


NO_PICTURES = {
    "a PDF": (b"%PDF-1.7\n", "a PDF"),
    "HEIC from a phone": (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", "HEIC"),
    "AVIF": (b"\0\0\0\x20ftypavif\0\0\0\0", "AVIF"),
    "a film": (b"\0\0\0\x20ftypisom\0\0\0\0", "an MP4 video"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "a web page that came instead": (b"\n<!DOCTYPE html><title>404", "a web page"),
    "JSON": (b'{"model": "image-embedding"}', "JSON"),
    "a packed picture": (gzip.compress(WHOLE["PNG"]), "gzip"),
    "base64": (base64.b64encode(WHOLE["JPEG"]), "base64 only inside JSON"),
    "base64 of a PNG": (base64.b64encode(WHOLE["PNG"]), "base64 only inside JSON"),
    "a data URI": (b"data:image/png;base64,iVBORw0KGgo", "a data: URI"),
    "a URL": (b"https://example.com/cat.jpg", "a URL"),
    "a text": (b"a photo of a cat", "text; send the image's bytes"),
    "a text with accents": ("un café au lait, s'il vous plaît".encode(), "text; send the image's bytes"),
    "a NumPy array": (b"\x93NUMPY\x01\0", "a NumPy array"),
    "bytes of nothing known": (
        b"\x01\x02\x03\x04\x05\x06\x07\x08\x09",
        "begins with the bytes 01 02 03 04 05 06 07 08",
    ),
}


@pytest.mark.parametrize(("data", "says"), NO_PICTURES.values(), ids=NO_PICTURES.keys())
def test_what_is_no_picture_is_called_what_it_is(data: bytes, says: str) -> None:
    message = said(data)
    assert message.startswith("not a decodable image (accepted: JPEG, PNG, WEBP, GIF, BMP, TIFF)")
    assert says in message
