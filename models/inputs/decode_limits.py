"""What decoding a picture may take: memory of the process, time of a processor, and steps of a parser."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from models.errors import LimitError

READS = 100_000  # of one file, each of which is a step of Pillow's; 20 MB in pieces of 8 KiB take 8,000
LARGE_READ = 4096  # bytes after which time is looked at
WEBP_BYTES = 24  # of a pixel: libwebp's canvases and the copies that Pillow makes of them; measured 20
COEFFICIENT_BYTES = 2  # of a JPEG that comes in several scans, which libjpeg keeps until the last of them
SMALL_MODES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # bytes of a pixel as Pillow keeps it
OTHER_MODES = 4  # also of three channels
TILE = (322, 323)  # TIFF's tags: width and height
ROWS_PER_STRIP, SAMPLE_BITS, SAMPLES = 278, 258, 277
LEAST_TILE = 1 << 20  # pixels; a small picture may have one tile that is larger than it


class Memory:
    """Shares the memory that all decodings of a process may take."""

    def __init__(self) -> None:
        """Nothing is taken."""
        self._changed = threading.Condition()
        self._taken = 0

    @contextmanager
    def taking(self, wanted: int, most: int) -> Iterator[None]:
        """Take bytes, when other decodings have given back enough.

        Raises:
            LimitError: that many are never there.
        """
        if wanted > most:
            raise LimitError(f"decoding this image takes {wanted >> 20} MiB, the limit is {most >> 20} MiB")
        with self._changed:
            self._changed.wait_for(lambda: self._taken + wanted <= most)
            self._taken += wanted
        try:
            yield
        finally:
            with self._changed:
                self._taken -= wanted
                self._changed.notify_all()


MEMORY = Memory()


class TimedFile(io.BytesIO):
    """A file in memory that ends a decoder which works on it for too long; it counts the thread's processor time."""

    def __init__(self, data: bytes, seconds: float) -> None:
        """Allow ``seconds`` from now on."""
        super().__init__(data)
        self._seconds = seconds
        self._until = time.thread_time() + seconds
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file.

        Raises:
            LimitError: it took too long, or too many steps.
        """
        self._reads += 1
        if self._reads > READS:
            raise LimitError(f"an image in more than {READS} pieces exceeds the limit; save it anew", code="too_slow")
        found = super().read(size)
        if (len(found) >= LARGE_READ or self._reads % 64 == 0) and time.thread_time() > self._until:
            raise too_slow(self._seconds)
        return found


def too_slow(seconds: float) -> LimitError:
    """The error for a picture whose decoding was given up."""
    return LimitError(
        f"decoding this image takes longer than the limit of {seconds:g} s; save it anew, smaller or as PNG",
        code="too_slow",
    )


def memory_of(image: Image.Image, scans: int = 1) -> int:
    """Bytes that decoding an opened picture takes until its RGB pixels are there, at most.

    Args:
        image: opened and not yet loaded.
        scans: of a JPEG.

    Raises:
        LimitError: it is cut into tiles that are larger than it.
    """
    pixels = image.size[0] * image.size[1]
    bytes_ = pixels * (SMALL_MODES.get(image.mode, OTHER_MODES) + OTHER_MODES)
    if isinstance(image, JpegImageFile) and scans > 1:
        bytes_ += pixels * COEFFICIENT_BYTES * len(image.getbands())
    if isinstance(image, TiffImageFile):
        bytes_ += _tile_bytes(image, pixels)
    return bytes_


def _tile_bytes(image: TiffImageFile, pixels: int) -> int:
    """Of the tile or strip that libtiff keeps beside the picture."""
    tags = image.tag_v2
    width, height = (int(tags.get(tag) or 0) for tag in TILE)
    tile = width * height
    if tile > max(pixels, LEAST_TILE):
        raise LimitError(
            f"TIFF of {image.size[0]}×{image.size[1]} pixels in tiles of {width}×{height} exceeds the limit of "
            f"{max(pixels, LEAST_TILE)} pixels in a tile"
        )
    rows = min(int(tags.get(ROWS_PER_STRIP) or image.size[1]), image.size[1])
    bits = tags.get(SAMPLE_BITS) or (1,)
    samples = int(tags.get(SAMPLES) or 1)
    return (tile or rows * image.size[0]) * max(map(int, bits)) * max(samples, len(bits)) // 8
