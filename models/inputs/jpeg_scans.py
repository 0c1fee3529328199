"""How often a decoder goes over a JPEG's pixels, read from its markers before it is decoded.

A progressive JPEG brings its pixels in scans, each of which goes over all of them and may weigh 20 bytes: 231 KB took 12 s.
The markers are followed as libjpeg follows them: it passes over whatever lies between two of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.errors import LimitError

SEGMENTS = 512  # at most, before the first scan; 20 MB of metadata in full segments would be 320
SCANS = 100  # at most, as in libtiff; encoders write 10, and the best scripts for small files 20
PASSES = 16  # times ``ImageLimits.pixels`` are the most pixels that all scans go over: 10 scans of the largest picture
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOF markers; the three others hold tables
ONE_PASS = frozenset({0xC0, 0xC1, 0xC3, 0xC9, 0xCB})  # frames whose pixels come in one scan, if that has all components
SCAN, END = 0xDA, 0xD9
NEXT = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")  # a marker with a length, or the end; restarts are part of a scan


@dataclass(frozen=True, slots=True)
class Scans:
    """What the markers say."""

    width: int
    height: int
    count: int  # of scans; more than ``SCANS`` are not counted


def scans_of(data: bytes | memoryview) -> Scans | None:
    """Follow the markers of a JPEG; None where they end before the first scan, or there is none.

    Raises:
        LimitError: there are more than ``SEGMENTS`` before it.
    """
    frame, at = -1, 2
    for _ in range(SEGMENTS):
        marker, at = _next(data, at)
        if marker == SCAN and frame >= 0:
            break
        if marker in (-1, END):
            return None
        if marker in FRAMES:
            frame = at
        at += int.from_bytes(data[at : at + 2], "big")
    else:
        raise LimitError(f"a JPEG of more than {SEGMENTS} segments before its first scan; save it without its metadata")
    if len(data) < frame + 8 or len(data) < at + 3:
        return None
    height, width = (
        int.from_bytes(data[frame + 3 : frame + 5], "big"),
        int.from_bytes(data[frame + 5 : frame + 7], "big"),
    )
    at_once = data[frame - 1] in ONE_PASS and data[at + 2] == data[frame + 7]
    return Scans(width, height, 1 if at_once else _count(data, at))


def _count(data: bytes | memoryview, at: int) -> int:
    """Scans from the one whose header begins at ``at``; every other segment between them counts, too."""
    scans, marker = 0, SCAN
    for _ in range(8 * SCANS):  # a scan may bring tables of its own
        if marker in (-1, END) or scans > SCANS:
            return scans
        scans += marker == SCAN
        marker, at = _next(data, at + int.from_bytes(data[at : at + 2], "big"))
    return SCANS + 1


def _next(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The next marker from ``at`` on and where it ends; -1 where there is none."""
    found = NEXT.match(data, at) or NEXT.search(data, at)
    return (found[1][0], found.end()) if found else (-1, at)


def check_scans(scans: Scans, pixels: int) -> None:
    """Refuse a JPEG that is decoded for much longer than its size tells; ``pixels`` is the limit of a picture.

    Raises:
        LimitError: it has too many scans.
    """
    area = max(1, scans.width * scans.height)
    if scans.count > SCANS or area * scans.count > PASSES * pixels:
        most = min(SCANS, PASSES * pixels // area)
        count = f"more than {SCANS}" if scans.count > SCANS else str(scans.count)
        raise LimitError(
            f"a JPEG of {scans.width}×{scans.height} pixels in {count} scans exceeds the limit of {most} scans for this "
            "size; save it anew, not progressive"
        )
