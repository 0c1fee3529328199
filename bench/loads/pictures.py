"""JPEGs of 640×480 that differ in a comment: other bytes, the same work."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 640, 480
DIGITS = 16  # of a number; read as base64 they are 12 bytes, a multiple of 3, so that base64 of the rest stays as it is
SCENES = 8
SEED = 7


@dataclass(frozen=True)
class Scene:
    """A JPEG in two parts, its number between them: ``head + number + rest``, as bytes and as base64."""

    head: bytes
    rest: bytes

    def raw(self, number: int) -> bytes:
        """The file with a number in its comment."""
        return self.head + base64.b64decode(digits(number)) + self.rest

    @property
    def head_base64(self) -> str:
        """The head: six bytes, eight letters of base64."""
        return base64.b64encode(self.head).decode()

    @property
    def rest_base64(self) -> str:
        """The rest."""
        return base64.b64encode(self.rest).decode()


def digits(number: int) -> str:
    """A number as it stands in the base64 form."""
    return f"{number:0{DIGITS}d}"


@cache
def scenes() -> tuple[Scene, ...]:
    """Pictures with the soft shapes, edges and grain of photographs; about 60 KB each."""
    source = np.random.default_rng(SEED)
    return tuple(_scene(source) for _ in range(SCENES))


def _scene(source: np.random.Generator) -> Scene:
    small = Image.fromarray(source.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    soft = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.float32)
    edges = (np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) // 40 % 2)[..., None] * 24
    grain = source.normal(0, 6, soft.shape)
    buffer = io.BytesIO()
    pixels = np.clip(soft + edges + grain, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    data = buffer.getvalue()
    payload = DIGITS * 3 // 4
    comment = b"\xff\xfe" + (payload + 2).to_bytes(2, "big")
    return Scene(data[:2] + comment, data[2:])
