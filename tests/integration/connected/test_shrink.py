"""Shrink-on-load switched while the service runs: other vectors, another hash, and never one under the other's name."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from models.catalog.artifact import Artifact, with_shrinking
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.modalities.image import ImageEmbedder
from tests.integration.commands import Command
from tests.integration.connected.conftest import Connected
from tests.integration.documents import Document, user_config
from tests.integration.service import Service

IMAGE, INT8 = "image-embedding@1.0.0", "image-embedding@1.1.0"
WAIT_S = 120


@dataclass
class Running:
    """The service, what it is configured with, and its operator."""

    service: Service
    document: Document
    client: httpx2.Client

    def embed(self, photo: bytes) -> tuple[str, str, list[float]]:
        answer = self.client.post("/v1/embeddings/image", content=photo, headers={"content-type": "image/jpeg"})
        assert answer.status_code == 200, answer.text
        vector = np.array(answer.json()["data"][0]["embedding"], np.float32)
        return answer.headers["x-model-hash"], answer.headers["x-cache"], vector.tolist()

    def switch(self, margin: int, expected: str, photo: bytes) -> tuple[str, list[float]]:
        """Ask for a margin, wait until answers are of the expected hash; returns the first of them."""
        user_config(self.document, "image-embedding--1-0-0")["shrink_margin"] = margin
        self.service.deploy(self.document)
        deadline = time.monotonic() + WAIT_S
        while True:
            hash_, cache, vector = self.embed(photo)
            if hash_ == expected:
                return cache, vector
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def photo() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(skimage.data.coffee()).resize((2100, 1400)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def running(connected: Connected) -> Iterator[Running]:
    document = connected.configure()
    with connected.running.client() as client:
        yield Running(connected.running.service, document, client)


def artifact(reference: str) -> Artifact:
    return pull(Catalog.load().find(reference), allow_synthetic=True)


def vector_of(artifact: Artifact, photo: bytes) -> list[float]:
    vector: list[float] = ImageEmbedder(artifact).embed([photo])[0].tolist()
    return vector


def test_switching_changes_vectors_and_hash_together(running: Running, photo: bytes) -> None:
    exact, shrinking = artifact(IMAGE), with_shrinking(artifact(IMAGE), 3)
    plain, shrunk = vector_of(exact, photo), vector_of(shrinking, photo)
    assert plain != shrunk
    assert running.embed(photo) == (exact.hash, "miss", plain)
    assert running.switch(3, shrinking.hash, photo) == ("miss", shrunk)
    assert running.embed(photo) == (shrinking.hash, "hit", shrunk)
    # Back again, what was cached under the first hash is true again.
    assert running.switch(0, exact.hash, photo) == ("hit", plain)
    assert np.dot(plain, shrunk) >= 0.9995


def test_operators_commands_know_the_hash_that_will_be_served(running: Running, photo: bytes) -> None:
    running.switch(3, with_shrinking(artifact(IMAGE), 3).hash, photo)
    environment = {"RAY_DASHBOARD_ADDRESS": running.service.dashboard}
    status, said = Command("swap", IMAGE, "--to", INT8, environment=environment).end()
    assert status == 0, said
    wanted = with_shrinking(artifact(INT8), 3)
    assert running.embed(photo)[::2] == (wanted.hash, vector_of(wanted, photo))
