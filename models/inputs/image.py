"""Encoded image → uint8 pixels, exactly as CLIP's reference preprocessing makes them.

Reference: ``CLIPImageProcessorPil`` of transformers 5.23. Transparency is composited onto white, as it does; 16-bit
greyscale clips at 255, as it does. EXIF orientation is applied first, as Hugging Face's ``load_image`` does.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from models.errors import InputError, LimitError
from models.inputs.image_header import ImageLimits, check_header, check_size, undecodable

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

RESIZED_PIXELS = 50_000_000  # the reference resizes all of a narrow picture before it crops; 200 MB as RGB

SHRINKS = (8, 4, 2)  # what libjpeg divides both sides by while it decodes

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # left, upper, right, lower

Image.MAX_IMAGE_PIXELS = None  # ImageLimits decide, and name the size
# Once and not around each call: the filters belong to the process, and pictures are decoded in many threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode(data: bytes, size: int = 224, limits: ImageLimits | None = None, shrink_margin: float = 0) -> Pixels:
    """Decode, orient, convert to RGB, resize the short side to ``size`` and crop the centre.

    Args:
        data: one encoded image; of an animation, the first frame counts.
        size: side of the square in pixels.
        limits: accepted formats and sizes, checked from the header.
        shrink_margin: let libjpeg decode a JPEG at a half, a quarter or an eighth as long as the short side keeps this
            many times ``size``; several times faster and no longer the reference's bits. 0 decodes every pixel.

    Returns:
        uint8 [size, size, 3].

    Raises:
        InputError: the bytes are no image of an accepted format, or are damaged.
        LimitError: the image is larger than the limits allow.
    """
    limits = limits or ImageLimits()
    check_header(data, limits)  # before Pillow opens it: of a WebP it allocates the canvas at once
    try:
        with Image.open(io.BytesIO(data), formats=limits.formats) as image:
            check_size(*image.size, limits)
            original = image.size
            box = _shrink(image, size, shrink_margin)
            image.load()
            return crop(image, size) if box is None else _crop_shrunk(image, size, original, box)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged files, struct.error and SyntaxError too
        raise undecodable(limits) from error


def _shrink(image: Image.Image, size: int, margin: float) -> Box | None:
    """Set how much libjpeg shrinks; returns where the picture lies in what it will decode, or None for no shrinking.

    The picture may end within the last decoded column or row: an eighth of 1001 pixels is 125.125, decoded as 126.
    """
    if not margin or not isinstance(image, JpegImageFile):
        return None
    width, height = image.size
    by = next((by for by in SHRINKS if min(width, height) >= by * margin * size), None)
    drafted = image.draft(image.mode, (width // by, height // by)) if by else None
    return drafted[1] if drafted else None


def crop(image: Image.Image, size: int = 224) -> Pixels:
    """Turn a decoded picture into the model's square, uint8 [size, size, 3].

    Raises:
        LimitError: the picture is so narrow that resizing its short side would take more than ``RESIZED_PIXELS``.
    """
    rgb = to_rgb(ImageOps.exif_transpose(image))
    return _centre(rgb.resize(_resized(*rgb.size, size), Image.Resampling.BICUBIC), size)


def _crop_shrunk(image: Image.Image, size: int, original: tuple[int, int], box: Box) -> Pixels:
    """As ``crop``, of a shrunk picture; it is turned after it was resized, because ``box`` lies in what was decoded."""
    resized = to_rgb(image).resize(_resized(*original, size), Image.Resampling.BICUBIC, box=box)
    return _centre(ImageOps.exif_transpose(resized), size)


def _resized(width: int, height: int, size: int) -> tuple[int, int]:
    short, long = min(width, height), max(width, height)
    longer = int(size * long / short)
    if longer * size > RESIZED_PIXELS:
        raise LimitError(
            f"image of {width}×{height} pixels is too narrow: with a short side of {size} it exceeds the limit of "
            f"{RESIZED_PIXELS} pixels"
        )
    return (size, longer) if width <= height else (longer, size)


def _centre(image: Image.Image, size: int) -> Pixels:
    pixels = np.asarray(image)
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB; what is transparent becomes white."""
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def pixel_values(pixels: Sequence[Pixels] | Pixels) -> NDArray[np.float32]:
    """Normalise uint8 [n, h, w, 3] to float32 [n, 3, h, w], the input of ready-made CLIP graphs.

    Each step rounds where the reference rounds: its product is float64, its quotient float32.
    """
    scaled = (np.asarray(pixels).astype(np.float64) * (1 / 255)).astype(np.float32)
    normalised = (scaled - np.array(CLIP_MEAN, np.float32)) / np.array(CLIP_STD, np.float32)
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
