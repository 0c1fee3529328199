from __future__ import annotations

import io
from collections.abc import Iterator

import httpx2
import numpy as np
import pytest
from PIL import Image

from tests.integration.service import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("service") / "log").wait()
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=service.url, timeout=60, trust_env=False) as session:
        yield session


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
