from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A picture with structure, 640 by 480."""
    ramp = np.linspace(0, 255, 640, dtype=np.uint8)
    rows = np.stack([np.roll(ramp, 3 * i) for i in range(480)])
    return Image.fromarray(np.stack([rows, rows.T.copy().T[::-1], 255 - rows], axis=-1))


def _encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def jpeg(picture: Image.Image) -> bytes:
    return _encoded(picture, "JPEG")


@pytest.fixture(scope="session")
def png(picture: Image.Image) -> bytes:
    return _encoded(picture, "PNG")
