from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import InputError, LimitError
from models.inputs.image import decode
from models.inputs.image_header import ImageLimits
from tests.data.png import chunk

DATA = Path(__file__).resolve().parents[2] / "data"
PICTURES = DATA / "pictures"

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


def encoded(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height)).save(buffer, kind)
    return buffer.getvalue()


def png(width: int, height: int, pixels: bytes = b"\0" * 64) -> bytes:
    """A PNG that claims a size, whatever pixels it has."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def picture(name: str) -> bytes:
    return (PICTURES / name).read_bytes()


def halved(name: str) -> bytes:
    data = picture(name)
    return data[: len(data) // 2]


def flipped(name: str) -> bytes:
    """A picture with some bytes of its second half inverted."""
    data = bytearray(picture(name))
    for i in range(len(data) // 2, len(data), 7):
        data[i] ^= 0xFF
    return bytes(data)


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
UNDECODABLE = {
    "empty bytes": b"",
    "one byte": b"\xff",
    "text": b"this is not an image",
    "zeros": b"\0" * 4096,
    "JSON": b'{"input": "text"}',
    "an SVG": SVG,
    "a PDF": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
    "a PostScript file": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    "an ICO, a format that is not accepted": encoded(32, 32, "ICO"),
    "a PPM, a format that is not accepted": encoded(32, 32, "PPM"),
    "half a JPEG": halved("exif-1.jpg"),
    "half a progressive JPEG": halved("progressive.jpg"),
    "half a PNG": halved("rgb.png"),
    "half a WebP": halved("lossy.webp"),
    "half a GIF": halved("still.gif"),
    "half a BMP": halved("rgb.bmp"),
    "half a TIFF": halved("rgb.tiff"),
    "a JPEG's first bytes": picture("exif-1.jpg")[:4],
    "a PNG's signature": b"\x89PNG\r\n\x1a\n",
    "a PNG's header alone": png(64, 64)[:33],
    "a PNG with broken pixels": flipped("rgb.png"),
    "a PNG with too few pixels": png(64, 64, b"\0" * 10),
    "a PNG of no width": png(0, 64),
    "a PNG of no height": png(64, 0),
    "a PNG of no size": png(0, 0),
    "a GIF of no size": b"GIF89a\0\0\0\0\0\0\0;",
    "a JPEG of no height": picture("exif-1.jpg").replace(b"\x08\x00\x78\x00\xa0", b"\x08\x00\x00\x00\xa0", 1),
}
TOO_LARGE = {
    "a PNG that claims 100000 x 100000": (png(100_000, 100_000), "100000×100000"),
    "a PNG that claims the largest size there is": (png(2**31 - 1, 2**31 - 1), f"{2**31 - 1}×{2**31 - 1}"),
    "a PNG that claims 20000 x 20000": (png(20_000, 20_000), "20000×20000"),
    "a GIF that claims 65535 x 65535": (
        b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0;",
        "65535×65535",
    ),
    "a side above the limit": (png(20_001, 1), "20001×1"),
    "one pixel more than the limit": (png(7_073, 7_070), "7073×7070"),
}


@pytest.mark.parametrize("data", UNDECODABLE.values(), ids=UNDECODABLE)
def test_what_cannot_be_decoded_is_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^not a decodable image") as caught:
        decode(data)
    assert not isinstance(caught.value, LimitError)
    assert caught.value.code == "invalid_image"


@pytest.mark.parametrize(("data", "size"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_claims_too_many_pixels_is_a_limit_error_that_names_them(data: bytes, size: str) -> None:
    with pytest.raises(LimitError, match=f"{size}.*limit of"):
        decode(data)


@pytest.mark.parametrize("cut", range(0, 100, 4), ids=lambda percent: f"cut at {percent} %")
@pytest.mark.parametrize(
    "name", ["rgba.png", "exif-6.jpg", "animated.gif", "lossless-clear.webp", "rgba.tiff", "rgb.bmp"]
)
def test_a_cut_picture_is_an_input_error_or_still_a_picture(name: str, cut: int) -> None:
    data = picture(name)
    try:
        pixels = decode(data[: len(data) * cut // 100])
    except InputError:
        return
    assert pixels.shape == (224, 224, 3)  # an animation's first frame, or a cut in what follows the pixels


def test_damaged_pictures_raise_input_errors_and_nothing_else() -> None:
    generator = np.random.Generator(np.random.PCG64(3))
    outcomes = {"decoded": 0, "refused": 0}
    for path in sorted(PICTURES.iterdir()):
        data = bytearray(path.read_bytes())
        if len(data) > 50_000:
            continue
        for _ in range(10):
            damaged = data.copy()
            for position in generator.integers(0, min(len(data), 400), 3):
                damaged[position] = generator.integers(256)
            try:
                decode(bytes(damaged), limits=ImageLimits(pixels=1_000_000))
                outcomes["decoded"] += 1
            except InputError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


def test_a_picture_at_the_limit_is_taken_and_one_above_is_not() -> None:
    data = encoded(50, 40)
    assert decode(data, limits=ImageLimits(pixels=2000, side=50)).shape == (224, 224, 3)
    with pytest.raises(LimitError, match="limit of 1999 pixels"):
        decode(data, limits=ImageLimits(pixels=1999))
    with pytest.raises(LimitError, match="limit of 49 pixels a side"):
        decode(data, limits=ImageLimits(side=49))


def test_formats_outside_the_limits_are_refused() -> None:
    with pytest.raises(InputError, match=r"accepted: PNG\)"):
        decode(encoded(8, 8, "GIF"), limits=ImageLimits(formats=("PNG",)))


@pytest.mark.parametrize(("width", "height"), [(1, 20_000), (20_000, 1)])
def test_a_picture_too_narrow_to_resize_says_so(width: int, height: int) -> None:
    with pytest.raises(InputError, match=f"{width}×{height}"):
        decode(encoded(width, height))


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12"],
    ids=["empty", "garbage", "an offset outside", "cut inside"],
)
def test_a_picture_with_damaged_exif_is_taken_as_it_lies(exif: bytes) -> None:
    plain = picture("exif-1.jpg")
    start = plain.index(b"\xff\xe1")
    (length,) = struct.unpack(">H", plain[start + 2 : start + 4])
    bare = plain[:start] + plain[start + 2 + length :]
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    assert (decode(bare[:2] + segment + bare[2:]) == decode(bare)).all()


def test_a_phones_picture_with_a_second_view_counts_as_its_first() -> None:
    first, second = Image.new("RGB", (90, 60), (200, 10, 10)), Image.new("RGB", (90, 60), (10, 200, 10))
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    assert abs(decode(buffer.getvalue()).astype(int) - (200, 10, 10)).max() <= 2


@pytest.mark.parametrize("name", ["animated.gif", "animated.webp", "two-pages.tiff"])
def test_only_the_first_frame_counts(name: str) -> None:
    still = {"animated.gif": "still.gif", "two-pages.tiff": "rgb.tiff"}.get(name)
    with Image.open(PICTURES / name) as image:
        assert getattr(image, "n_frames", 1) > 1
        image.seek(0)
        first = image.convert("RGB")
    assert (decode(picture(name)) == decode(picture(still) if still else _as_png(first))).all()


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("size", [32, 224, 336])
def test_the_square_has_the_models_size(size: int) -> None:
    assert decode(picture("rgb.png"), size).shape == (size, size, 3)


def test_what_is_transparent_is_white() -> None:
    data = _as_png(Image.new("RGBA", (10, 10), (255, 0, 0, 0)))
    assert (decode(data) == 255).all()
