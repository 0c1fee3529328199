"""Where a JPEG says how large it is: its frame header."""

from __future__ import annotations

from models.inputs.jpeg_scans import FRAMES, SCAN, SEGMENTS

WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})  # markers
FILL = 0xFF
# By marker, whether there is more to do than to pass over its segment. Every picture is looked at, and has ten of them.
SPECIAL = bytes(marker in WITHOUT_LENGTH | FRAMES | {SCAN, FILL} for marker in range(256))


def frame_of(data: bytes | memoryview) -> tuple[int | None, int]:
    """Where the last frame header before the first scan begins, and that scan; None where the header is unclear."""
    frame: int | None = None
    at = 2
    for _ in range(SEGMENTS):
        if data[at] != 0xFF:
            return None, at
        marker = data[at + 1]
        if SPECIAL[marker]:
            if marker == SCAN:
                return frame, at
            if marker == FILL:
                at += 1
                continue
            if marker in WITHOUT_LENGTH:
                return None, at
            frame = at
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    return None, at
