"""The pictures that this project's pixels are compared on with the reference's, as encoded bytes.

Encoders change between releases of their libraries, decoders of lossy formats too: the bytes are made once and
committed, see ``README.md``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 0x0112  # EXIF tag


def pictures() -> dict[str, bytes]:
    """File name to encoded bytes, in a fixed order."""
    return dict([*_modes(), *_orientations(), *_sizes(), *_containers()])


def scene(width: int, height: int, channels: int = 3) -> NDArray[np.uint8]:
    """A picture without any symmetry: waves of another pitch in each channel, an edge, a patch of noise."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [
        127 + 80 * np.sin(x / (9 + 4 * c) + y / (31 - 5 * c)) + 40 * (x + y > width * 0.7) for c in range(channels)
    ]
    picture = np.stack(planes, axis=-1)
    noise = np.random.Generator(np.random.PCG64(width * 10_007 + height)).normal(0, 25, picture.shape)
    corner = (slice(height // 4), slice(width // 3))
    picture[corner] += noise[corner]
    return picture.clip(0, 255).astype(np.uint8)


def _alpha(width: int, height: int) -> NDArray[np.uint8]:
    """Opaque on the left, clear on the right, with a hard hole."""
    ramp = np.tile(np.linspace(255, 0, width).astype(np.uint8), (height, 1))
    ramp[height // 3 : height // 2, width // 3 : width // 2] = 0
    return ramp


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _rgb(width: int, height: int) -> Image.Image:
    return Image.fromarray(scene(width, height))


def _modes() -> Iterator[tuple[str, bytes]]:
    width, height = 150, 110
    rgb = _rgb(width, height)
    grey = rgb.convert("L")
    alpha = Image.fromarray(_alpha(width, height))
    rgba, la = rgb.copy(), grey.copy()
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    palette = rgb.quantize(32)
    yield "rgb.png", _encode(rgb, "PNG")
    flat = palette.convert("RGB")
    yield "rgb-colour-key.png", _encode(flat, "PNG", transparency=flat.getpixel((5, 80)))
    yield "l.png", _encode(grey, "PNG")
    yield "l-colour-key.png", _encode(grey.point(lambda v: v // 64 * 64), "PNG", transparency=128)
    yield "la.png", _encode(la, "PNG")
    yield "rgba.png", _encode(rgba, "PNG")
    yield "p.png", _encode(palette, "PNG")
    yield "p-one-clear.png", _encode(palette, "PNG", transparency=palette.getpixel((5, 80)))
    yield "p-alpha-table.png", _encode(palette, "PNG", transparency=bytes(range(0, 256, 8)))
    yield "p-from-rgba.png", _encode(rgba.quantize(32, method=Image.Quantize.FASTOCTREE), "PNG")
    yield "bilevel.png", _encode(grey.convert("1"), "PNG")
    yield "bilevel-colour-key.png", _encode(grey.convert("1"), "PNG", transparency=0)
    deep = (np.asarray(grey).astype(np.uint16) * 3)[:, ::-1]
    yield "grey16-dark.png", _encode(Image.fromarray(np.ascontiguousarray(deep)), "PNG")
    yield "grey16-full.png", _encode(Image.fromarray(np.ascontiguousarray(deep * 85)), "PNG")
    yield "l.jpg", _encode(grey, "JPEG")
    yield "cmyk.jpg", _encode(rgb.convert("CMYK"), "JPEG")
    yield "cmyk.tiff", _encode(rgb.convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "lab.tiff", _encode(Image.fromarray(scene(60, 40), "LAB"), "TIFF", compression="tiff_lzw")
    yield "ycbcr.tiff", _encode(_rgb(64, 48).convert("YCbCr"), "TIFF")
    yield "float.tiff", _encode(Image.fromarray((scene(60, 40, 1)[..., 0] * 1.3 - 20).astype(np.float32)), "TIFF")
    yield "int32.tiff", _encode(Image.fromarray(scene(60, 40, 1)[..., 0].astype(np.int32) * 3 - 99), "TIFF")


def _orientations() -> Iterator[tuple[str, bytes]]:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        yield f"exif-{orientation}.jpg", _encode(_rgb(160, 120), "JPEG", exif=exif, quality=80)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    yield "exif-6.png", _encode(_rgb(90, 60), "PNG", exif=exif)
    yield "exif-6.webp", _encode(_rgb(90, 60), "WEBP", exif=exif)
    yield "exif-6.tiff", _encode(_rgb(90, 60), "TIFF", exif=exif, compression="tiff_lzw")
    yield "exif-5-clear.png", _encode(_with_alpha(90, 60), "PNG", exif=_exif(5))
    yield "exif-99.jpg", _encode(_rgb(90, 60), "JPEG", exif=_exif(99))


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def _with_alpha(width: int, height: int) -> Image.Image:
    image = _rgb(width, height)
    image.putalpha(Image.fromarray(_alpha(width, height)))
    return image


def _sizes() -> Iterator[tuple[str, bytes]]:
    yield "1x1.png", _encode(Image.new("RGB", (1, 1), (12, 200, 77)), "PNG")
    yield "2x3.png", _encode(_rgb(2, 3), "PNG")
    yield "1x100.png", _encode(_rgb(1, 100), "PNG")
    yield "1x500.png", _encode(_rgb(1, 500), "PNG")
    yield "500x1.png", _encode(_rgb(500, 1), "PNG")
    for width, height in ((223, 224), (224, 223), (224, 224), (225, 224), (333, 227), (225, 1000), (641, 479)):
        yield f"{width}x{height}.jpg", _encode(_rgb(width, height), "JPEG", quality=70)
    blocks = np.kron(scene(16, 12), np.ones((250, 250, 1), np.uint8))
    yield "4000x3000.png", _encode(Image.fromarray(blocks).quantize(64), "PNG", optimize=True)
    yield "3000x4000.jpg", _encode(Image.fromarray(np.ascontiguousarray(blocks.transpose(1, 0, 2))), "JPEG", quality=50)


def _containers() -> Iterator[tuple[str, bytes]]:
    first, second = _rgb(120, 90), _rgb(90, 120).resize((120, 90))
    yield "progressive.jpg", _encode(_rgb(300, 200), "JPEG", progressive=True)
    yield "full-chroma.jpg", _encode(_rgb(301, 199), "JPEG", subsampling=0)
    yield "still.gif", _encode(first, "GIF")
    yield "animated.gif", _encode(first, "GIF", save_all=True, append_images=[second, first.rotate(9)], duration=50)
    yield "clear.gif", _encode(_with_alpha(120, 90), "GIF")
    yield "lossy.webp", _encode(_rgb(230, 170), "WEBP", quality=60)
    yield "lossless-clear.webp", _encode(_with_alpha(120, 90), "WEBP", lossless=True)
    yield "animated.webp", _encode(first, "WEBP", save_all=True, append_images=[second], duration=50)
    yield "rgb.bmp", _encode(_rgb(64, 48), "BMP")
    yield "palette.bmp", _encode(first.quantize(16), "BMP")
    yield "bilevel.bmp", _encode(first.convert("1"), "BMP")
    yield "rgb.tiff", _encode(first, "TIFF", compression="tiff_lzw")
    yield "rgba.tiff", _encode(_with_alpha(80, 60), "TIFF", compression="tiff_deflate")
    yield "grey16.tiff", _encode(Image.fromarray(scene(64, 48, 1)[..., 0].astype(np.uint16) * 4), "TIFF")
    yield "two-pages.tiff", _encode(first, "TIFF", save_all=True, append_images=[second], compression="tiff_lzw")
