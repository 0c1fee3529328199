"""Good requests, each new to every cache, whose vectors are known to the bit."""

from __future__ import annotations

import itertools
from typing import Any

import httpx2
import numpy as np

from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder
from tests.faults.hostile.pictures import encoded, scene

TEXT, IMAGE = "text-embedding@1.0.0", "image-embedding@1.0.0"
_numbers = itertools.count()


class Good:
    """Asks for what it knows."""

    def __init__(self) -> None:
        self._text = self._open(TEXT, TextEmbedder)
        self._image = self._open(IMAGE, ImageEmbedder)

    @staticmethod
    def _open(reference: str, kind: type[Any]) -> Any:
        embedder = open_embedder(pull(Catalog.load().find(reference), allow_synthetic=True))
        assert isinstance(embedder, kind)
        return embedder

    def text(self, client: httpx2.Client) -> str | None:
        """What was wrong with the answer to a text; nothing when it was right."""
        text = f"good text number {next(_numbers)}"
        answer = client.post("/v1/embeddings", json={"model": "text-embedding", "input": text})
        return self._compare(answer, self._text.embed([text])[0])

    def picture(self, client: httpx2.Client) -> str | None:
        """The same for a picture."""
        data = encoded(scene(100 + next(_numbers) % 400, 70), "PNG")
        answer = client.post("/v1/embeddings/image", content=data, headers={"content-type": "image/png"})
        return self._compare(answer, self._image.embed([data])[0])

    @staticmethod
    def _compare(answer: httpx2.Response, expected: Any) -> str | None:
        if answer.status_code != 200:
            return f"{answer.status_code} {answer.text[:200]}"
        vector = np.array(answer.json()["data"][0]["embedding"], np.float32)
        return None if np.array_equal(vector, expected) else f"off by {np.abs(vector - expected).max()}"
