"""The clients that users bring, unchanged."""

from __future__ import annotations

import asyncio
import base64
import re
from collections import Counter
from pathlib import Path

import httpx
import httpx2
import numpy as np
import openai
import pytest
import tritonclient.http
import tritonclient.utils
from langchain_openai import OpenAIEmbeddings

from models.catalog.paths import ROOT
from tests.integration.service import Service

# "hello world", first five numbers, as fastembed's tests publish them.
HELLO = [-0.034478, 0.03102, 0.00673, 0.02611, -0.039362]
HELLO_IDS = [7592, 2088]


@pytest.fixture(scope="module")
def sdk(service: Service) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{service.url}/v1", api_key="unused", max_retries=0)


@pytest.mark.parametrize("encoding", [openai.omit, "float", "base64"], ids=["by default", "as floats", "as base64"])
@pytest.mark.parametrize(
    "given",
    ["hello world", ["hello world"], HELLO_IDS, [[101, *HELLO_IDS, 102]]],
    ids=["a text", "a list of texts", "token ids", "a list of token ids"],
)
def test_openai_sdk_embeds_every_form_of_input(sdk: openai.OpenAI, given: object, encoding: object) -> None:
    own = {"x-token-vocabulary": "model"}  # heeded where there are ids
    answer = sdk.embeddings.create(model="text-embedding", input=given, encoding_format=encoding, extra_headers=own)
    vector = answer.data[0].embedding
    if encoding == "base64":
        vector = np.frombuffer(base64.b64decode(vector), "<f4")
    np.testing.assert_allclose(vector[:5], HELLO, atol=1e-4)
    assert len(vector) == 384
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    assert answer.model == "text-embedding@1.0.0"
    assert answer.usage.prompt_tokens == 4


def test_openai_sdk_keeps_the_order_of_a_list(sdk: openai.OpenAI) -> None:
    texts = [f"text number {i} {'with more words ' * (i % 7)}" for i in range(50)]
    together = [one.embedding for one in sdk.embeddings.create(model="text-embedding", input=texts).data]
    alone = [sdk.embeddings.create(model="text-embedding", input=text).data[0].embedding for text in texts]
    assert together == alone


def test_openai_sdk_shortens_and_normalises_again(sdk: openai.OpenAI) -> None:
    full = sdk.embeddings.create(model="text-embedding", input="hello world").data[0].embedding
    short = sdk.embeddings.create(model="text-embedding", input="hello world", dimensions=64).data[0].embedding
    assert len(short) == 64
    np.testing.assert_allclose(short, np.array(full[:64]) / np.linalg.norm(full[:64]), atol=1e-6)


def test_openai_sdk_embeds_images(sdk: openai.OpenAI, jpeg: bytes) -> None:
    bare = base64.b64encode(jpeg).decode()
    answer = sdk.embeddings.create(model="image-embedding", input=[bare, f"data:image/jpeg;base64,{bare}"])
    assert answer.data[0].embedding == answer.data[1].embedding
    assert len(answer.data[0].embedding) == 512
    assert answer.usage.prompt_tokens == 0


def test_openai_sdk_lists_models(sdk: openai.OpenAI) -> None:
    listed = [model.id for model in sdk.models.list()]
    assert listed[:2] == ["text-embedding", "image-embedding"]  # the names that route, for tools' menus
    assert "text-embedding-3-small" in listed
    assert listed[-3:] == ["text-embedding@1.0.0", "image-embedding@1.0.0", "clip-text-embedding@1.0.0"]
    assert sdk.models.retrieve("text-embedding").id == "text-embedding@1.0.0"


def test_openai_sdk_raises_its_own_errors(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there are"):
        sdk.embeddings.create(model="nothing", input="a")
    with pytest.raises(openai.BadRequestError, match="empty"):
        sdk.embeddings.create(model="text-embedding", input="")


@pytest.mark.parametrize("ids", [True, False], ids=["that sends OpenAI's token ids", "that sends texts"])
def test_langchain_embeds_documents_and_queries(service: Service, cl100k: object, ids: bool) -> None:
    langchain = OpenAIEmbeddings(
        model="text-embedding", base_url=f"{service.url}/v1", api_key="unused", check_embedding_ctx_length=ids
    )
    np.testing.assert_allclose(langchain.embed_query("hello world")[:5], HELLO, atol=1e-4)
    assert len(langchain.embed_documents(["a", "b"])) == 2


@pytest.mark.slow
def test_a_thousand_requests_at_once_are_all_answered_in_the_end(service: Service) -> None:
    """By OpenAI's client as it is, which tries twice again when it is told to come back."""

    async def ask(client: openai.AsyncOpenAI, number: int) -> str:
        answer = await client.embeddings.create(model="text-embedding", input=f"one of a thousand: {number}")
        return answer.model

    async def all_of_them() -> list[str | BaseException]:
        connections = httpx.Limits(max_connections=1000)
        transport = httpx.AsyncClient(limits=connections, timeout=120)
        async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="unused", http_client=transport) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(1000)), return_exceptions=True)

    for _ in range(3):
        found = Counter(one if isinstance(one, str) else type(one).__name__ for one in asyncio.run(all_of_them()))
        assert found == {"text-embedding@1.0.0": 1000}


@pytest.mark.parametrize("packing", [None, "gzip", "deflate"], ids=["as it is", "in gzip", "in deflate"])
def test_triton_client_sends_compressed_requests(service: Service, packing: str | None) -> None:
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{service.port}") as triton:
        given = tritonclient.http.InferInput("text", [1], "BYTES")
        given.set_data_from_numpy(np.array([b"hello world"], dtype=object))
        answer = triton.infer("text-embedding", [given], request_compression_algorithm=packing)
        np.testing.assert_allclose(answer.as_numpy("embedding")[0, :5], HELLO, atol=1e-4)
        with pytest.raises(tritonclient.utils.InferenceServerException, match="there are"):
            triton.infer("nothing", [given])


def test_what_is_too_long_is_counted_or_refused(service: Service, client: httpx2.Client) -> None:
    texts = ["short", "word " * 300, "word " * 254]
    answer = client.post("/v1/embeddings", json={"model": "text-embedding", "input": texts})
    again = client.post("/v1/embeddings", json={"model": "text-embedding", "input": texts})
    for one in (answer, again):  # computed, and out of the cache
        assert (one.headers["x-truncated"], one.headers["x-truncated-by"]) == ("1", str(46 * 5 + 1))
    refused = client.post("/v1/embeddings", json={"model": "text-embedding", "input": texts, "truncate": False})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "input[1]"
    assert "256 tokens" in refused.json()["error"]["message"]


@pytest.mark.parametrize("binary", [True, False], ids=["binary tensors", "JSON tensors"])
def test_triton_client_embeds_text(service: Service, binary: bool) -> None:
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{service.port}") as triton:
        assert triton.is_server_live()
        assert triton.is_server_ready()
        assert triton.is_model_ready("text-embedding", "1.0.0")
        assert triton.get_model_metadata("text-embedding")["outputs"][0]["shape"] == [-1, 384]
        given = tritonclient.http.InferInput("text", [2], "BYTES")
        given.set_data_from_numpy(np.array([b"hello world", "héllo 🌍".encode()], dtype=object), binary_data=binary)
        wanted = tritonclient.http.InferRequestedOutput("embedding", binary_data=binary)
        answer = triton.infer("text-embedding", [given], outputs=[wanted], request_id="7")
        vectors = answer.as_numpy("embedding")
    assert vectors.shape == (2, 384)
    assert answer.get_response()["id"] == "7"
    np.testing.assert_allclose(vectors[0, :5], HELLO, atol=1e-4)


def test_triton_client_embeds_encoded_images(service: Service, jpeg: bytes, client: httpx2.Client) -> None:
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{service.port}") as triton:
        given = tritonclient.http.InferInput("image", [1], "BYTES")
        given.set_data_from_numpy(np.array([jpeg], dtype=object))
        vector = triton.infer("image-embedding", [given]).as_numpy("embedding")[0]
    raw = client.post("/v1/embeddings/image", content=jpeg, headers={"content-type": "image/jpeg"})
    np.testing.assert_array_equal(vector, np.array(raw.json()["data"][0]["embedding"], np.float32))


def test_the_lines_of_the_readme_find_a_picture_by_a_sentence(
    service: Service, jpeg: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(jpeg)
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(tmp_path)
    exec(block.replace("http://127.0.0.1:8000", service.url), {})
    assert capsys.readouterr().out == "photos/0.jpg\n"
