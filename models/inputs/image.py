"""Encoded image → uint8 pixels, bit for bit as CLIP's reference preprocessing makes them.

The reference is ``CLIPImageProcessorPil`` of transformers 5.23. Like it, we put white behind transparent pixels and clip
16-bit greyscale at 255. EXIF orientation is applied first, as Hugging Face's ``load_image`` does.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from models.errors import InputError, LimitError
from models.inputs.image_header import ImageLimits, check_header, check_size, format_of
from models.inputs.unreadable import broken, wrong_format

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

RESIZED_PIXELS = 50_000_000  # 200 MB as RGB; the reference resizes even a very narrow picture whole before it crops

SHRINKS = (8, 4, 2)  # libjpeg can divide both sides by these while it decodes

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # left, upper, right, lower

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit; ours is in ImageLimits, and its message names the size
# Here and not around each call: warning filters are shared by the threads that decode pictures.
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode(data: bytes, size: int = 224, limits: ImageLimits | None = None, shrink_margin: float = 0) -> Pixels:
    """Decode, orient, convert to RGB, resize the short side to ``size`` and crop the centre.

    Args:
        data: one encoded image; of an animation, the first frame is taken.
        size: side of the square in pixels.
        limits: accepted formats and sizes, checked from the header.
        shrink_margin: let libjpeg decode a JPEG at a half, a quarter or an eighth of its size if the short side stays at
            least this many times ``size``. Several times faster, but the bits differ from the reference. 0 decodes every
            pixel.

    Returns:
        uint8 [size, size, 3].

    Raises:
        InputError: the bytes are no image of an accepted format, or are damaged.
        LimitError: the image is larger than the limits allow.
    """
    limits = limits or ImageLimits()
    check_header(data, limits)  # before Pillow opens it, which allocates the whole canvas of a WebP
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
        found = format_of(data)
        if found is None and isinstance(error, UnidentifiedImageError):
            raise wrong_format(data, None, limits.formats) from error
        raise broken(data, found, error) from error


def _shrink(image: Image.Image, size: int, margin: float) -> Box | None:
    """Choose how much libjpeg shrinks; returns the picture's box in the decoded pixels, None if nothing is shrunk.

    The last decoded column or row may be covered only in part: an eighth of 1001 pixels is 125.125, decoded as 126.
    """
    if not margin or not isinstance(image, JpegImageFile):
        return None
    width, height = image.size
    by = next((by for by in SHRINKS if min(width, height) >= by * margin * size), None)
    drafted = image.draft(image.mode, (width // by, height // by)) if by else None
    return drafted[1] if drafted else None


def crop(image: Image.Image, size: int = 224) -> Pixels:
    """Turn a decoded picture upright, resize it and crop the model's square, uint8 [size, size, 3].

    Raises:
        LimitError: the picture is so narrow that resizing its short side would take more than ``RESIZED_PIXELS``.
    """
    rgb = to_rgb(ImageOps.exif_transpose(image))
    return _centre(rgb.resize(_resized(*rgb.size, size), Image.Resampling.BICUBIC), size)


def _crop_shrunk(image: Image.Image, size: int, original: tuple[int, int], box: Box) -> Pixels:
    """As ``crop``, for a shrunk picture. It is turned after resizing, because ``box`` refers to the decoded pixels."""
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
    """Convert any mode to RGB; transparent pixels become white."""
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def pixel_values(pixels: Sequence[Pixels] | Pixels) -> NDArray[np.float32]:
    """Normalise uint8 [n, h, w, 3] to float32 [n, 3, h, w], the input of ready-made CLIP graphs.

    Each step rounds as the reference does: it multiplies in float64 and divides in float32.
    """
    scaled = (np.asarray(pixels).astype(np.float64) * (1 / 255)).astype(np.float32)
    normalised = (scaled - np.array(CLIP_MEAN, np.float32)) / np.array(CLIP_STD, np.float32)
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
