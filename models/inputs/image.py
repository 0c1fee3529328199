"""Encoded image → uint8 pixels, bit for bit as the reference preprocessing makes them.

The reference is transformers' image processors for Pillow, such as ``CLIPImageProcessorPil`` of 5.23. Like them, we put
white behind transparent pixels and clip 16-bit greyscale at 255. EXIF orientation is applied first, as Hugging Face's
``load_image`` does.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from models.errors import InputError
from models.inputs.decode_limits import MEMORY, OTHER_MODES, WEBP_BYTES, TimedFile, memory_of
from models.inputs.image_header import ImageLimits, check_header, check_size, format_of, size_of
from models.inputs.jpeg_scans import check_scans, scans_of
from models.inputs.preparation import Framing
from models.inputs.unreadable import broken, wrong_format

BAND = 1 << 20  # pixels that are converted at a time, so that conversions take no memory of the picture's size
SHRINKS = (8, 4, 2)  # libjpeg can divide both sides by these while it decodes

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # left, upper, right, lower

Image.MAX_IMAGE_PIXELS = None  # Pillow's own limit; ours is in ImageLimits, and its message names the size
# Here and not around each call: warning filters are shared by the threads that decode pictures.
warnings.filterwarnings("ignore", module=r"PIL\.")


def decode(
    data: bytes, framing: Framing | int = 224, limits: ImageLimits | None = None, shrink_margin: float = 0
) -> Pixels:
    """Decode, orient, convert to RGB, resize and crop.

    Args:
        data: one encoded image; of an animation, the first frame is taken.
        framing: how it is resized and cropped; a number means CLIP's way to a square of that side.
        limits: accepted formats and sizes, checked from the header.
        shrink_margin: let libjpeg decode a JPEG at a half, a quarter or an eighth of its size if its sides stay at
            least this many times those after resizing. Several times faster, but the bits differ from the reference. 0
            decodes every pixel.

    Returns:
        uint8 [height, width, 3].

    Raises:
        InputError: the bytes are no image of an accepted format, or are damaged.
        LimitError: the image is larger than the limits allow, or decoding it takes too long or too much memory.
    """
    framing = framing if isinstance(framing, Framing) else Framing.square(framing)
    limits = limits or ImageLimits()
    check_header(data, limits)  # before Pillow opens it, which allocates the whole canvas of a WebP
    found = format_of(data)
    width, height = (size_of(data) if found == "WEBP" else None) or (0, 0)
    try:
        with MEMORY.taking(width * height * WEBP_BYTES, limits.memory):
            return _decoded(data, found, framing, limits, shrink_margin)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged files, struct.error and SyntaxError too
        if found is None and isinstance(error, UnidentifiedImageError):
            raise wrong_format(data, None, limits.formats) from error
        raise broken(data, found, error) from error


def _decoded(data: bytes, found: str | None, framing: Framing, limits: ImageLimits, shrink_margin: float) -> Pixels:
    scans = scans_of(data) if found == "JPEG" else None
    if scans is not None:
        check_scans(scans, limits.pixels)
    with Image.open(TimedFile(data, limits.seconds), formats=limits.formats) as image:
        check_size(*image.size, limits)
        original = image.size
        resized = framing.resized(*original)
        box = _shrink(image, framing, resized, shrink_margin)
        wanted = memory_of(image, scans.count if scans else 1) + resized[0] * (resized[1] + image.size[1]) * OTHER_MODES
        with MEMORY.taking(wanted, limits.memory):
            image.load()
            return _crop(image, framing) if box is None else _crop_shrunk(image, framing, resized, box)


def _shrink(image: Image.Image, framing: Framing, resized: tuple[int, int], margin: float) -> Box | None:
    """Choose how much libjpeg shrinks; returns the picture's box in the decoded pixels, None if nothing is shrunk.

    The last decoded column or row may be covered only in part: an eighth of 1001 pixels is 125.125, decoded as 126.
    """
    if not margin or not framing.shrinkable or not isinstance(image, JpegImageFile):
        return None
    width, height = image.size
    by = next((by for by in SHRINKS if min(width / resized[0], height / resized[1]) >= by * margin), None)
    drafted = image.draft(image.mode, (width // by, height // by)) if by else None
    return drafted[1] if drafted else None


def _crop(image: Image.Image, framing: Framing) -> Pixels:
    """Turn a decoded picture upright, resize it and crop what the model takes, uint8 [height, width, 3]."""
    ImageOps.exif_transpose(image, in_place=True)
    upright = image if framing.torchvision else to_rgb(image)
    wanted = framing.resized(*upright.size)
    resized = upright if wanted == upright.size else upright.resize(wanted, Image.Resampling(framing.resample))
    return _centre(resized, framing)


def _crop_shrunk(image: Image.Image, framing: Framing, resized: tuple[int, int], box: Box) -> Pixels:
    """As ``_crop``, for a shrunk picture. It is turned after resizing, because ``box`` refers to the decoded pixels."""
    small = to_rgb(image).resize(resized, Image.Resampling(framing.resample), box=box)
    return _centre(ImageOps.exif_transpose(small), framing)


def _centre(image: Image.Image, framing: Framing) -> Pixels:
    left, top = framing.offset(image.size[0], framing.width), framing.offset(image.size[1], framing.height)
    kept = image.crop((left, top, left + framing.width, top + framing.height))
    pixels = np.array(kept.convert("RGB") if kept.mode != "RGB" else kept)
    return np.ascontiguousarray(pixels[:, :, ::-1]) if framing.bgr else pixels


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB; transparent pixels become white."""
    width, height = image.size
    rows = max(1, BAND // width)
    if height <= rows:
        return _to_rgb(image)
    if image.mode == "RGB" and image.info.get("transparency") is None:
        return image
    rgb = Image.new("RGB", image.size)
    for top in range(0, height, rows):
        rgb.paste(_to_rgb(image.crop((0, top, width, min(top + rows, height)))), (0, top))
    return rgb


def _to_rgb(image: Image.Image) -> Image.Image:
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
