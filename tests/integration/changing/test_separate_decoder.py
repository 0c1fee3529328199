"""Pictures decoded by a deployment of its own: the same vectors and errors as in one stage, also while replicas die.

It comes last of its folder, so that the image model is deployed anew once, and not again for those after it.
"""

from __future__ import annotations

import base64
import io
import os
import signal
from dataclasses import dataclass
from pathlib import Path

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
from tests.integration.documents import Document, application, drop_text_tower, shipped, user_config
from tests.integration.metrics import metric
from tests.integration.service import Service, children
from tests.integration.traffic import Call, Traffic
from tests.integration.waiting import wait

IMAGE, INT8 = "image-embedding@1.0.0", "image-embedding@1.1.0"
APPLICATION = "image-embedding--1-0-0"
PROCESS = f"ray::ServeReplica:{APPLICATION}:Decoder"
REPLICAS = 2


@dataclass
class Running:
    """A service with two decoders."""

    service: Service
    document: Document

    def post(self, *images: bytes) -> httpx2.Response:
        inputs = [base64.b64encode(image).decode() for image in images]
        body = {"model": "image-embedding", "input": inputs}
        return httpx2.post(f"{self.service.url}/v1/embeddings", json=body, timeout=60, trust_env=False)

    def vectors(self, *images: bytes) -> tuple[str, list[list[float]]]:
        answer = self.post(*images)
        assert answer.status_code == 200, answer.text
        rows = [np.array(entry["embedding"], np.float32).tolist() for entry in answer.json()["data"]]
        return answer.headers["x-model-hash"], rows

    def decoders(self) -> set[int]:
        """Process ids of the decoder's replicas that Serve calls."""
        found = self.service.api().details()["applications"][APPLICATION]["deployments"]["Decoder"]["replicas"]
        return {replica["pid"] for replica in found if replica["state"] == "RUNNING"}


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    """JPEGs small and large, and one of each other way to decode: transparency, grey, a palette."""
    coffee = Image.fromarray(skimage.data.coffee())
    pictures = [
        (coffee, "JPEG"),
        (coffee.resize((2100, 1400)), "JPEG"),
        (coffee.rotate(30).resize((300, 900)), "JPEG"),
        (Image.fromarray(skimage.data.logo()), "PNG"),
        (Image.fromarray(skimage.data.camera()), "WEBP"),
        (coffee.quantize(), "GIF"),
    ]
    return [encoded(picture, kind) for picture, kind in pictures]


def encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def running(changing: Service) -> Running:
    document = shipped()
    drop_text_tower(document)
    user_config(document)["cache"] = {"bytes": 0}
    image = application(document, APPLICATION)
    image["args"]["decode"] = "separate"
    decoder = {"name": "Decoder", "num_replicas": REPLICAS, "max_ongoing_requests": 64}
    image["deployments"].append({**decoder, "ray_actor_options": {"num_cpus": 0.5}})
    changing.run(document)
    return Running(changing, document)


def artifact(reference: str) -> Artifact:
    return pull(Catalog.load().find(reference), allow_synthetic=True)


def alone(artifact: Artifact, photos: list[bytes]) -> tuple[str, list[list[float]]]:
    """The hash and vectors of the model without a service."""
    embedder = ImageEmbedder(artifact)
    return artifact.hash, [embedder.embed([photo])[0].tolist() for photo in photos]


def test_vectors_are_those_of_the_model_alone_bit_for_bit(running: Running, photos: list[bytes]) -> None:
    assert len(running.decoders()) == REPLICAS
    assert {pid for pid, title in children(running.service).items() if title.startswith(PROCESS)} == running.decoders()
    wanted = alone(artifact(IMAGE), photos)
    assert running.vectors(*photos) == wanted
    assert [running.vectors(photo)[1][0] for photo in photos] == wanted[1]
    sharing = [pid for pid in running.decoders() if "embedserve-pixels" in Path(f"/proc/{pid}/maps").read_text()]
    assert sharing, "no decoder wrote pixels into the encoder's slots"


def test_calls_go_to_decoders_over_connections_of_their_own(running: Running, photos: list[bytes]) -> None:
    def direct() -> float:
        running.post(*photos)
        return metric(running.service.url, "embedserve_decoder_calls_total", "way").get("connection", 0)

    wait("calls in the metrics", direct)


@pytest.mark.parametrize(
    ("bad", "status", "says"),
    [
        (b"no image", 400, "not a decodable image"),
        (encoded(Image.new("1", (8000, 8000)), "PNG"), 413, "8000×8000 pixels exceeds the limit of 50000000 pixels"),
        (encoded(Image.new("1", (20001, 1)), "PNG"), 413, "20001×1 pixels exceeds the limit of 20000 pixels a side"),
    ],
    ids=["no image", "too many pixels", "too long a side"],
)
def test_a_bad_picture_is_named_and_the_good_ones_without_it_are_embedded(
    running: Running, photos: list[bytes], bad: bytes, status: int, says: str
) -> None:
    answer = running.post(photos[0], photos[1], bad, photos[2])
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, "input[2]")
    assert says in error["message"]
    assert running.vectors(*photos[:3]) == alone(artifact(IMAGE), photos[:3])


def test_a_killed_decoder_fails_no_request(running: Running, photos: list[bytes]) -> None:
    hash_, rows = alone(artifact(IMAGE), photos[:3])
    names = [f"photo {i}" for i in range(3)]
    known = {hash_: {name: np.array(row, np.float32) for name, row in zip(names, rows, strict=True)}}
    headers = {"content-type": "image/jpeg"}
    calls = [
        Call(name, {"url": "/v1/embeddings/image", "content": photo, "headers": headers})
        for name, photo in zip(names, photos, strict=False)
    ]
    with Traffic(running.service.url, calls, known, clients=4, pause=0.1) as traffic:
        traffic.wait_for(10)
        before = running.decoders()
        for victim in sorted(before):
            os.kill(victim, signal.SIGKILL)
            wait("a successor", lambda gone=victim: len(running.decoders() - {gone}) == REPLICAS)  # type: ignore[misc]
            traffic.wait_for(10)
    assert not before & running.decoders()
    assert traffic.failures == []


def test_a_swap_needs_nothing_of_the_decoders(running: Running, photos: list[bytes]) -> None:
    before = running.decoders()
    user_config(running.document, APPLICATION)["shrink_margin"] = 3
    running.service.deploy(running.document)
    shrinking = with_shrinking(artifact(IMAGE), 3)
    wait("the swap", lambda: running.vectors(photos[1])[0] == shrinking.hash)
    wanted = alone(shrinking, photos)
    assert wanted[1][1] != alone(artifact(IMAGE), photos[1:2])[1][0]
    assert running.vectors(*photos) == wanted
    assert running.decoders() == before


def test_operators_commands_add_and_swap_versions_with_decoders(running: Running, photos: list[bytes]) -> None:
    environment = {"RAY_DASHBOARD_ADDRESS": running.service.dashboard}
    for arguments in (["swap", IMAGE, "--to", INT8], ["add", INT8], ["remove", INT8]):
        status, said = Command(*arguments, environment=environment).end()
        assert status == 0, said
        assert running.vectors(*photos) == alone(with_shrinking(artifact(INT8), 3), photos)
