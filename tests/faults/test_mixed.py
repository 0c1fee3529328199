"""Good, bad, half-sent and abandoned requests at once: good ones are answered to the bit, and nothing stays behind."""

from __future__ import annotations

import base64
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import httpx2
import numpy as np
import pytest

from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder
from tests.faults.footprint import footprints, grown, idle, serving
from tests.faults.hostile.pictures import PATH, encoded, scene
from tests.faults.mutate import bodies, pictures
from tests.faults.wire import exchange, request
from tests.integration.service import Service
from tests.integration.waiting import wait

CLIENTS = 24
TEXTS, PICTURES = 400, 12  # known ones; most of what the caches hold comes in the warm-up
WARM_UP = 1000
PART, FILES, MEGABYTES = 0.05, 4, 4.0  # growth that counts: both the part, and the number of files or megabytes
Known = dict[bytes, np.ndarray]


def known(seed: int) -> Known:
    """Good requests and the vectors that they must be answered with."""
    text = open_embedder(pull(Catalog.load().find("text-embedding@1.0.0"), allow_synthetic=True))
    image = open_embedder(pull(Catalog.load().find("image-embedding@1.0.0"), allow_synthetic=True))
    assert isinstance(text, TextEmbedder)
    assert isinstance(image, ImageEmbedder)
    texts = [f"a known text, number {seed}-{i}" for i in range(TEXTS)]
    asked = [request(json.dumps({"model": "text-embedding", "input": t}).encode()) for t in texts]
    found = dict(zip(asked, text.embed(texts), strict=True))
    files = [encoded(scene(40 + i, 50), "PNG") for i in range(PICTURES)]
    asked = [request(data, PATH, [("content-type", "image/png")]) for data in files]
    return {**found, **dict(zip(asked, image.embed(files), strict=True))}


class Crowd:
    """Clients of every kind."""

    def __init__(self, port: int, good: Known, seed: int, count: int) -> None:
        self.sent: Counter[str] = Counter()
        self.failures: list[str] = []
        self._port = port
        self._good = good
        self._work = self._requests(random.Random(seed), seed, count)
        self._lock = threading.Lock()

    def run(self) -> None:
        threads = [threading.Thread(target=self._client) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _requests(self, chance: random.Random, seed: int, count: int) -> Iterator[tuple[str, bytes]]:
        texts = [data for data in self._good if PATH.encode() not in data]
        images = [data for data in self._good if PATH.encode() in data]
        json_bodies, files = bodies(seed, count), pictures(seed, count)
        for _ in range(count):
            kind = chance.choices(
                ("text", "picture", "bad", "mixed", "damaged", "half", "gone"), (40, 2, 18, 10, 5, 12, 13)
            )[0]
            if kind == "text":
                yield kind, chance.choice(texts)
            elif kind == "picture":
                yield kind, chance.choice(images)
            elif kind == "bad":
                path, body = next(json_bodies)
                yield kind, request(body, path)
            elif kind == "mixed":  # well-formed until the encoder looks at it, so that it shares batches with good ones
                ids = [[chance.randrange(30_522)], [30_522 + chance.randrange(1000)]]
                yield kind, request(json.dumps({"model": "text-embedding", "input": ids}).encode())
            elif kind == "damaged":
                body = {"model": "image-embedding", "input": base64.b64encode(next(files)).decode()}
                yield kind, request(json.dumps(body).encode())
            elif kind == "half":
                data = chance.choice(texts)
                yield kind, data[: chance.randrange(1, len(data))]
            else:  # new text, so that it is under way when its client goes
                text = f"abandoned {chance.random()} " * 20
                yield kind, request(json.dumps({"model": "text-embedding", "input": [text] * 4}).encode())

    def _client(self) -> None:
        while True:
            with self._lock:
                kind, data = next(self._work, ("", b""))
                self.sent[kind] += 1
            if not kind:
                return
            if kind in ("half", "gone"):
                with socket.create_connection(("127.0.0.1", self._port), timeout=30) as connection:
                    connection.sendall(data)
                continue
            problem = self._problem(data)
            if problem:
                self.failures.append(f"{kind}: {problem}")

    def _problem(self, data: bytes) -> str | None:
        answer = exchange(self._port, data)
        if answer is None:
            return "hung up"
        if data in self._good:
            if answer.status != 200:
                return f"{answer.status} {answer.body[:200]!r}"
            vector = np.array(json.loads(answer.body)["data"][0]["embedding"], np.float32)
            return None if np.array_equal(vector, self._good[data]) else "another vector"
        if answer.status >= 500:
            return f"{answer.status} {answer.body[:200]!r} to {data[-300:]!r}"
        return None if answer.status == 200 else answer.problem()


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(1000, id="briefly"),
        pytest.param(10_000, id="ten thousand", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_a_crowd_of_all_kinds_leaves_nothing_behind(service: Service, client: httpx2.Client, count: int) -> None:
    good = known(count)
    crowds = [Crowd(service.port, good, seed=count + i, count=n) for i, n in enumerate((WARM_UP, count))]
    crowds[0].run()
    wait("an empty queue", lambda: idle(client))
    before, pids = footprints(service), set(serving(service))
    crowds[1].run()
    wait("an empty queue", lambda: idle(client))

    def left() -> list[str]:
        return grown(before, footprints(service), PART, FILES, MEGABYTES)

    wait(lambda: f"what processes hold: {left()}", lambda: not left())
    after = footprints(service)
    for pid, was in before.items():
        print(
            f"\n{was.title}: {was.resident_mb:.1f} → {after[pid].resident_mb:.1f} MB, {was.files} → {after[pid].files} files",
            end="",
        )
    print(f"\n{dict(crowds[1].sent)}")
    assert [crowd.failures for crowd in crowds] == [[], []]
    assert set(serving(service)) == pids
    assert client.get("/health/ready").status_code == 200
