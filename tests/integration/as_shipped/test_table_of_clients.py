"""Each row of the table of clients, on the running service: the vectors of ``/v1/embeddings``, and our words when something is wrong.

Libraries that the tests have anyhow are asked themselves; of the others this has the requests. ``tests/clients`` has the libraries.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
import tritonclient.http
from langchain_openai import OpenAIEmbeddings

from models.catalog.paths import ROOT
from tests.integration.service import Service

MODEL, UNKNOWN = "text-embedding", "nothing"
TEXTS = ["hello world", "good morning"]
Ask = Callable[[str, str, list[str]], Any]  # url, model, inputs → vectors
OVER_GRPC = "Triton's client over gRPC"  # off in the shipped configuration: tests/integration/production/test_grpc.py
OF_PICTURES = "Weaviate, `multi2vec-clip`"
# Their requests name no model, so that what is wrong must be the text.
NAMELESS = {"LlamaIndex and chroma for text-embeddings-inference", "Weaviate, `text2vec-transformers`", OF_PICTURES}


class RefusedError(Exception):
    """What a service answered, in the dialect of the request."""


def post(url: str, path: str, body: dict[str, Any], said: Callable[[Any], str]) -> Any:
    answer = httpx2.post(f"{url}{path}", json=body, timeout=60, trust_env=False)
    if answer.status_code != 200:
        raise RefusedError(said(answer.json()))
    return answer.json()


def plainly(answer: Any) -> str:
    return str(answer["error"])


def as_openai(answer: Any) -> str:
    return str(answer["error"]["message"])


def rows(answer: Any) -> Any:
    return [row["embedding"] for row in answer["data"]]


def openais(client: type[openai.OpenAI], **where: str) -> Ask:
    def ask(url: str, model: str, inputs: list[str]) -> Any:
        urls = {name: value.format(url) for name, value in where.items()}
        with client(api_key="k", max_retries=0, **urls) as made:  # type: ignore[arg-type]
            return [row.embedding for row in made.embeddings.create(model=model, input=inputs).data]

    return ask


def langchain(url: str, model: str, inputs: list[str]) -> Any:
    return OpenAIEmbeddings(model=model, base_url=f"{url}/v1", api_key="k", max_retries=0).embed_documents(inputs)  # type: ignore[arg-type]


def triton(url: str, model: str, inputs: list[str]) -> Any:
    with tritonclient.http.InferenceServerClient(url.removeprefix("http://")) as client:
        given = tritonclient.http.InferInput("text", [len(inputs)], "BYTES")
        given.set_data_from_numpy(np.array([text.encode() for text in inputs], dtype=object))
        return client.infer(model, [given]).as_numpy("embedding")


def openai_form(path: str, **fields: Any) -> Ask:
    return lambda url, model, inputs: rows(post(url, path, {"model": model, "input": inputs, **fields}, as_openai))


def jina(url: str, model: str, inputs: list[str]) -> Any:
    return rows(post(url, "/v1/embeddings", {"model": model, "input": [{"text": one} for one in inputs]}, as_openai))


def ollama(url: str, model: str, inputs: list[str]) -> Any:
    return post(url, "/api/embed", {"model": model, "input": inputs}, plainly)["embeddings"]


def cohere(url: str, model: str, inputs: list[str]) -> Any:
    body = {"model": model, "input_type": "search_query", "texts": inputs, "embedding_types": ["float"]}
    return post(url, "/v2/embed", body, lambda answer: str(answer["message"]))["embeddings"]["float"]


def hub(url: str, model: str, inputs: list[str]) -> Any:
    return post(url, f"/embed?model={model}", {"inputs": inputs}, plainly)


def tei(url: str, _: str, inputs: list[str]) -> Any:
    return post(url, "/embed", {"inputs": inputs, "truncate": True}, plainly)


def litellm(url: str, model: str, inputs: list[str]) -> Any:
    tensor = {"name": "input_text", "shape": [len(inputs)], "datatype": "BYTES", "data": inputs}
    output = post(url, f"/v2/models/{model}/infer", {"inputs": [tensor]}, plainly)["outputs"][0]
    return np.reshape(output["data"], output["shape"])


def weaviate(url: str, _: str, inputs: list[str]) -> Any:
    body = {"texts": inputs, "config": {"pooling_strategy": "masked_mean"}}
    return post(url, "/vectors", body, plainly)["vectors"]


def weaviates_pictures(url: str, _: str, inputs: list[str]) -> Any:
    return post(url, "/vectorize", {"texts": [], "images": inputs}, plainly)["imageVectors"]


TABLE: dict[str, Ask] = {
    "OpenAI SDK": openais(openai.OpenAI, base_url="{}/v1"),
    "Azure OpenAI SDK": openais(openai.AzureOpenAI, azure_endpoint="{}", api_version="2024-10-21"),
    "LangChain, `OpenAIEmbeddings`": langchain,
    "LangChain, `OllamaEmbeddings`; Ollama's SDKs": ollama,
    "Cohere SDK": cohere,
    "Voyage SDK": openai_form("/v1/embeddings", input_type="query", truncation=True, output_dtype="float"),
    "Mistral SDK": openai_form("/v1/embeddings", output_dtype="float"),
    "huggingface_hub": hub,
    "LlamaIndex and chroma for text-embeddings-inference": tei,
    "infinity's clients": openai_form("/embeddings", dimensions=0, modality="text"),
    "Jina's API": jina,
    "Triton's and KServe's clients": triton,
    "LiteLLM, `triton/`": litellm,
    "Weaviate, `text2vec-transformers`": weaviate,
    OF_PICTURES: weaviates_pictures,
}


def test_every_row_of_the_documents_is_tried() -> None:
    text = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    table = text.partition("## Tool")[2].partition("\n## ")[0]
    told = [line.split(" | ")[0].removeprefix("| ") for line in re.findall(r"^\| .*", table, re.M)]
    assert told[0] == "tool"
    assert set(told[1:]) == {*TABLE, OVER_GRPC}


@pytest.mark.parametrize("tool", TABLE)
def test_a_tool_gets_the_vectors_of_embeddings_and_our_words_when_something_is_wrong(
    service: Service, tool: str, jpeg: bytes, cl100k: object
) -> None:
    pictures = tool == OF_PICTURES
    inputs = [base64.b64encode(jpeg).decode()] if pictures else TEXTS
    right = openai_form("/v1/embeddings")(service.url, "clip-vit-base-patch32" if pictures else MODEL, inputs)
    np.testing.assert_array_equal(
        np.array(TABLE[tool](service.url, MODEL, inputs), np.float32), np.array(right, np.float32)
    )
    wrong, said = ([""], "is empty") if tool in NAMELESS else (inputs, f"there are: {MODEL}")
    with pytest.raises(Exception, match=said):  # each library's own
        TABLE[tool](service.url, UNKNOWN, wrong)
