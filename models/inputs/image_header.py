"""Format, width and height of an encoded image, read from its first bytes; nothing is decoded.

Gateways call this on their event loop, so the number of steps is bounded whatever the bytes are. Where a header is
unclear, the image passes: the decoder checks every image again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from models.errors import LimitError
from models.inputs.jpeg_frame import frame_of
from models.inputs.jpeg_scans import ONE_PASS, check_scans, scans_of
from models.inputs.unreadable import wrong_format

Size = tuple[int, int]  # width, height
Data = bytes | memoryview

BMP_HEADERS = frozenset({40, 52, 56, 64, 108, 124})  # sizes in bytes; OS/2's has 12
WEBP_MODES = (b"VP8 ", b"VP8L", b"VP8X")  # lossy, lossless, extended
TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
TIFF_STARTS = (*TIFF_ORDERS, b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")  # with swapped bytes, and BigTIFF
LOOK = 1 << 20  # bytes in which scans are counted here, for 5 ms at most; the decoder counts the rest
TIFF_ENTRIES = 64  # read at most; they are sorted by tag, and those we need are among the first twenty
TIFF_WIDTH, TIFF_HEIGHT, TIFF_ORIENTATION = 256, 257, 274
TIFF_TURNED = (5, 6, 7, 8)  # orientations that lie on their side
TIFF_NUMBERS = {3: "H", 4: "I"}  # 16 and 32 bits


@dataclass(frozen=True)
class ImageLimits:
    """What is refused before a pixel is decoded."""

    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
    pixels: int = 50_000_000  # a 50-megapixel photo takes 200 MB as Pillow keeps it
    memory: int = 1280 << 20  # bytes that all decodings of a process may take together
    seconds: float = 10.0  # of a processor that one decoding may take; the largest photos take 3
    side: int = 20_000  # pixels; cameras and scanners stay below it, and wider panoramas show nothing at 224 pixels


def check_header(data: Data, limits: ImageLimits) -> None:
    """Refuse an encoded image whose header shows that the decoder would refuse it.

    Raises:
        InputError: its format is unknown or not accepted.
        LimitError: it is larger than the limits allow.
    """
    found = format_of(data)
    if found is None and not all(accepted in READERS for accepted in limits.formats):
        return  # it may be an accepted format that this module does not know
    if found not in limits.formats:
        raise wrong_format(bytes(data), found, limits.formats)
    if found == "JPEG":
        _check_jpeg(data, limits)
    elif (size := size_of(data)) is not None:
        check_size(*size, limits)


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Refuse an image by its dimensions in pixels.

    Raises:
        LimitError: it is larger than the limits allow.
    """
    if width * height > limits.pixels:
        raise LimitError(f"image of {width}×{height} pixels exceeds the limit of {limits.pixels} pixels")
    if max(width, height) > limits.side:
        raise LimitError(f"image of {width}×{height} pixels exceeds the limit of {limits.side} pixels a side")


def format_of(data: Data) -> str | None:
    """The format by its first bytes, as Pillow names it; None if it is none of the six in ``READERS``."""
    start = bytes(data[:16])
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP" and start[12:] in WEBP_MODES:
        return "WEBP"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if start.startswith(b"BM"):
        return "BMP"
    return "TIFF" if start.startswith(TIFF_STARTS) else None


def size_of(data: Data) -> Size | None:
    """Width and height in pixels as stored, before any EXIF rotation; None if the header does not tell."""
    found = format_of(data)
    if found is None:
        return None
    try:
        return READERS[found](data)
    except (IndexError, struct.error):  # the bytes end before the header does
        return None


def _jpeg(data: Data) -> Size | None:
    """The size in the last frame header before the scan, which is the one that decoders use."""
    frame, _ = frame_of(data)
    if frame is None:
        return None
    height, width = struct.unpack_from(">HH", data, frame + 5)
    return width, height


def _check_jpeg(data: Data, limits: ImageLimits) -> None:
    """Refuse a JPEG by its dimensions, and by its scans where they are several."""
    try:
        frame, scan = frame_of(data)
        if frame is None:
            return
        height, width = struct.unpack_from(">HH", data, frame + 5)
        at_once = data[frame + 1] in ONE_PASS and data[scan + 4] == data[frame + 9]
    except (IndexError, struct.error):  # the bytes end before the header does
        return
    check_size(width, height, limits)
    if not at_once and (scans := scans_of(data[:LOOK])):
        check_scans(scans, limits.pixels)


def _png(data: Data) -> Size | None:
    if data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif(data: Data) -> Size:
    """The size of the logical screen; the decoder notices a first frame that is larger."""
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: Data) -> Size | None:
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:
        width, height = struct.unpack_from("<HH", data, 18)
        return width, height
    if header not in BMP_HEADERS:
        return None
    width, height = struct.unpack_from("<Ii", data, 18)
    return width, abs(height)  # negative if the rows are stored top to bottom


def _webp(data: Data) -> Size | None:
    mode = data[12:16]
    if mode == b"VP8X":  # the canvas
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(_full(data, 27, 3), "little")
    if mode == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)) if data[20] == 0x2F else None
    width, height = struct.unpack_from("<HH", data, 26)
    return (width & 0x3FFF, height & 0x3FFF) if data[23:26] == b"\x9d\x01\x2a" else None


def _tiff(data: Data) -> Size | None:
    """The size of the first page; None for BigTIFF and for headers with swapped bytes."""
    order = TIFF_ORDERS.get(bytes(data[:4]))
    if order is None:
        return None
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, at)
    found: dict[int, int] = {}
    for i in range(min(entries, TIFF_ENTRIES)):
        tag, number, count = struct.unpack_from(f"{order}HHI", data, at + 2 + 12 * i)
        if number in TIFF_NUMBERS and count == 1:
            (found[tag],) = struct.unpack_from(f"{order}{TIFF_NUMBERS[number]}", data, at + 10 + 12 * i)
    width, height = found.get(TIFF_WIDTH), found.get(TIFF_HEIGHT)
    if width is None or height is None:
        return None
    return (height, width) if found.get(TIFF_ORIENTATION) in TIFF_TURNED else (width, height)


def _full(data: Data, at: int, length: int) -> Data:
    if len(data) < at + length:
        raise IndexError(at)
    return data[at : at + length]


READERS: dict[str, Callable[[Data], Size | None]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
    "BMP": _bmp,
    "TIFF": _tiff,
}
