"""Prompts over HTTP, computed by a real model: each protocol's word for one gives the vector of the text with it before."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest

from deployments.backfill.expectation import Expectation
from deployments.backfill.via_service.client import ServiceClient
from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.gateway.batch import Batch
from deployments.rpc.codec import EncodeCall, pack_call, pack_reply, unpack_call, unpack_reply
from models.catalog.custom import described
from models.catalog.folder import Wishes
from models.catalog.store import pull
from models.embedder import open_embedder
from models.errors import InputError
from models.inputs.prompted import Prompted
from models.modalities.base import Embedder
from tests.data.tiny import write
from tests.deployments.http.service import application, serving

WORDS = {"query": "world: ", "document": ""}  # of the eight that the model knows
TEXT = "hello"


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    folder = tmp_path_factory.mktemp("prompts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMBEDSERVE_MODELS", str(folder / "store"))
        plain = described("tiny@1", write(folder / "tiny").folder).spec
        spec = described("tiny@2", folder / "tiny", wishes=Wishes(prompts=WORDS)).spec
        artifacts = [pull(one, allow_synthetic=False) for one in (plain, spec)]
        assert artifacts[0].hash != artifacts[1].hash, "prompts are part of what a vector depends on"
        yield open_embedder(artifacts[1])


@pytest.fixture(scope="module")
def client(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    made = application(tmp_path_factory.mktemp("app"))
    version = made.embeddings.registry.versions["m@1"]
    label = Label("m@1", embedder.artifact.hash)
    version.info = ModelInfo(
        label, "m", "text", 8, "fp32", "CPU", prompts=embedder.prompts, selectable=embedder.selectable
    )
    prepare = embedder.preparation()

    async def send(batch: Batch) -> EncodeReply:
        queued = Queued("g", batch.cost, 0, hash=batch.hash, alone=batch.alone)
        call = unpack_call(b"".join(pack_call(EncodeCall(batch.items, queued))))
        assert isinstance(call, EncodeCall)
        rows = [row for row in prepare(call.items) if not isinstance(row, InputError)]
        reply = unpack_reply(pack_reply(EncodeReply(label, embedder.embed_rows(rows), [len(row) for row in rows])))
        assert isinstance(reply, EncodeReply)
        return reply

    version.queue._send = send
    with serving(made.app) as running:
        yield running


def vector(embedder: Embedder, text: str) -> list[float]:
    return embedder.embed_items([text])[0].tolist()  # type: ignore[no-any-return]


REQUESTS: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/embeddings", {"model": "m", "input": TEXT, "prompt_name": "query"}, "query"),
    ("/v1/embeddings", {"model": "m", "input": TEXT, "input_type": "query"}, "query"),
    ("/v1/embeddings", {"model": "m", "input": [TEXT], "task": "retrieval.query"}, "query"),
    ("/v1/embeddings", {"model": "m", "input": TEXT, "prompt_name": "document"}, "document"),
    ("/v1/embeddings", {"model": "m", "input": TEXT, "input_type": "document"}, "document"),
    ("/v1/embeddings", {"model": "m", "input": TEXT}, "document"),
    ("/embed", {"inputs": TEXT, "prompt_name": "query", "model": "m"}, "query"),
    ("/embed", {"inputs": TEXT, "parameters": {"prompt_name": "query"}, "model": "m"}, "query"),
    ("/v2/embed", {"model": "m", "texts": [TEXT], "input_type": "search_query"}, "query"),
    ("/v2/embed", {"model": "m", "texts": [TEXT], "input_type": "search_document"}, "document"),
    ("/api/embed", {"model": "m", "input": TEXT, "prompt_name": "query"}, "query"),
]


def first_vector(document: Any) -> list[float]:
    if isinstance(document, list):
        return document[0]  # type: ignore[no-any-return]
    if "data" in document:
        return document["data"][0]["embedding"]  # type: ignore[no-any-return]
    found = document["embeddings"]
    return found[0] if isinstance(found, list) else found["float"][0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("path", "body", "prompt"), REQUESTS)
def test_each_protocol_names_a_prompt_in_its_own_way(
    client: httpx2.Client, embedder: Embedder, path: str, body: dict[str, Any], prompt: str
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(first_vector(answer.json()), vector(embedder, WORDS[prompt] + TEXT), atol=1e-6)
    again = client.post(path, json=body)
    assert again.headers["x-cache"] == "hit"
    assert first_vector(again.json()) == first_vector(answer.json())


def test_a_model_lists_its_prompts(client: httpx2.Client) -> None:
    assert client.get("/v1/models/m").json()["prompts"] == ["query", "document"]


def test_the_two_sides_of_a_search_have_other_vectors(embedder: Embedder) -> None:
    assert not np.allclose(vector(embedder, WORDS["query"] + TEXT), vector(embedder, TEXT), atol=1e-3)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": "m", "input": TEXT, "prompt_name": "qery"}),
        ("/v1/embeddings", {"model": "m", "input": TEXT, "input_type": "classification"}),
        ("/embed", {"inputs": TEXT, "prompt_name": "qery", "model": "m"}),
        ("/v2/embed", {"model": "m", "texts": [TEXT], "input_type": "clustering"}),
    ],
)
def test_a_prompt_that_the_model_does_not_have_is_refused_with_those_that_it_has(
    client: httpx2.Client, path: str, body: dict[str, Any]
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 400
    assert "this model's prompts are query, document" in answer.text


def test_a_backfill_through_a_service_names_its_prompt(client: httpx2.Client, embedder: Embedder) -> None:
    url = str(client.base_url).rstrip("/")
    asking = ServiceClient(url, "m@1", Expectation(embedder.artifact.hash, None), 1)
    answer = asking.post([Prompted("query", TEXT), Prompted("query", "unseen")], bulk=True)
    assert answer is not None
    found = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in answer.json()["data"]]
    right = [vector(embedder, WORDS["query"] + text) for text in (TEXT, "unseen")]
    np.testing.assert_allclose(found, right, atol=1e-6)
