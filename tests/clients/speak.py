"""Asks a service through each client library, and prints what each got: `python speak.py URL TEXTS MODEL`.

Runs in the libraries' own environment, where nothing of this project is installed.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

import chromadb.utils.embedding_functions as chroma
import cohere
import kserve
import litellm
import numpy as np
import ollama
import openai
import tritonclient.http
import voyageai
from haystack.utils import Secret
from haystack_integrations.components.embedders.jina import JinaTextEmbedder
from huggingface_hub import InferenceClient
from infinity_client import Client as InfinityClient
from infinity_client.api.default import embeddings as infinity
from infinity_client.models import OpenAIEmbeddingInputText
from langchain_ollama import OllamaEmbeddings
from langchain_openai import OpenAIEmbeddings
from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference
from mistralai.client import Mistral

URL, TEXTS, MODEL = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
Ask = Callable[[str, list[str]], Any]
NAMELESS = {"llama-index", "chromadb"}  # their requests name no model: what is wrong is a text


def plain(value: Any) -> Any:
    return np.asarray(value).tolist()


def by_openai(client: openai.OpenAI) -> Ask:
    return lambda model, texts: [one.embedding for one in client.embeddings.create(model=model, input=texts).data]


def by_cohere(kind: str) -> Ask:
    client = cohere.ClientV2(api_key="k", base_url=URL)

    def ask(model: str, texts: list[str]) -> Any:
        answer = client.embed(model=model, input_type="search_query", texts=texts, embedding_types=[kind])
        return getattr(answer.embeddings, "float_" if kind == "float" else kind)

    return ask


def by_mistral(**fields: str) -> Ask:
    client = Mistral(api_key="k", server_url=URL)
    return lambda model, texts: [
        one.embedding for one in client.embeddings.create(model=model, inputs=texts, **fields).data
    ]


def by_litellm(model: str, texts: list[str]) -> Any:
    url = f"{URL}/v2/models/{model}/infer"
    return [one["embedding"] for one in litellm.embedding(model=f"triton/{model}", input=texts, api_base=url).data]


def by_triton(model: str, texts: list[str]) -> Any:
    with tritonclient.http.InferenceServerClient(URL.removeprefix("http://")) as client:
        given = tritonclient.http.InferInput("text", [len(texts)], "BYTES")
        given.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=object))
        return client.infer(model, [given]).as_numpy("embedding")


def by_kserve(model: str, texts: list[str]) -> Any:
    async def ask() -> Any:
        client = kserve.InferenceRESTClient(config=kserve.RESTConfig(protocol="v2", retries=0))
        given = kserve.InferInput("text", [len(texts)], "BYTES")
        given.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=object), binary_data=False)
        return await client.infer(URL, kserve.InferRequest(model, [given]), model_name=model)

    return asyncio.run(ask()).outputs[0].as_numpy()


def by_infinity(model: str, texts: list[str]) -> Any:
    body = OpenAIEmbeddingInputText(model=model, input_=texts)
    with InfinityClient(base_url=URL) as client:
        answer = infinity.sync_detailed(client=client, body=body)
    if answer.status_code != 200:
        raise RuntimeError(answer.content.decode())  # the library hands out what came, and raises nothing
    return [one.embedding for one in answer.parsed.data]


def by_haystack(model: str, texts: list[str]) -> Any:
    embedder = JinaTextEmbedder(api_key=Secret.from_token("k"), model=model, base_url=f"{URL}/v1/embeddings")
    return [embedder.run(text)["embedding"] for text in texts]


def by_llama_index(_: str, texts: list[str]) -> Any:
    return TextEmbeddingsInference(model_name="any", base_url=URL).get_text_embedding_batch(texts)


def by_chroma(_: str, texts: list[str]) -> Any:
    return chroma.HuggingFaceEmbeddingServer(url=f"{URL}/embed")(texts)


def asks() -> dict[str, Ask]:
    """By library and kind of numbers, a call that embeds texts by a model."""
    voyage = voyageai.Client(api_key="k", base_url=f"{URL}/v1", max_retries=0)
    azure = openai.AzureOpenAI(api_key="k", azure_endpoint=URL, api_version="2024-10-21", max_retries=0)
    return {
        "openai": by_openai(openai.OpenAI(api_key="k", base_url=f"{URL}/v1", max_retries=0)),
        "openai at Azure's path": by_openai(azure),
        "openai without /v1": by_openai(openai.OpenAI(api_key="k", base_url=URL, max_retries=0)),
        "langchain-openai": lambda model, texts: OpenAIEmbeddings(
            model=model, base_url=f"{URL}/v1", api_key="k", max_retries=0
        ).embed_documents(texts),
        "langchain-ollama": lambda model, texts: OllamaEmbeddings(model=model, base_url=URL).embed_documents(texts),
        "ollama": lambda model, texts: ollama.Client(URL).embed(model=model, input=texts).embeddings,
        "cohere": by_cohere("float"),
        "cohere int8": by_cohere("int8"),
        "voyageai": lambda model, texts: voyage.embed(texts, model=model, input_type="query").embeddings,
        "voyageai int8": lambda model, texts: voyage.embed(texts, model=model, output_dtype="int8").embeddings,
        "mistralai": by_mistral(),
        "mistralai int8": by_mistral(output_dtype="int8"),
        "huggingface_hub": lambda model, texts: InferenceClient(f"{URL}/embed?model={model}").feature_extraction(texts),
        "llama-index": by_llama_index,
        "chromadb": by_chroma,
        "infinity_client": by_infinity,
        "jina-haystack": by_haystack,
        "tritonclient": by_triton,
        "kserve": by_kserve,
        "litellm": by_litellm,
    }


def fields() -> dict[str, list[str]]:
    """The arguments of each library's call, as its own signature names them."""
    calls = {
        "OpenAI": openai.OpenAI(api_key="k").embeddings.create,
        "Voyage": voyageai.Client(api_key="k").embed,
        "Mistral": Mistral(api_key="k").embeddings.create,
        "Cohere": cohere.ClientV2(api_key="k").embed,
        "Ollama": ollama.Client().embed,
        "Hugging Face": InferenceClient().feature_extraction,
    }
    return {name: [one for one in inspect.signature(call).parameters if one != "self"] for name, call in calls.items()}


def outcome(ask: Ask, model: str, texts: list[str]) -> dict[str, Any]:
    try:
        return {"vectors": plain(ask(model, texts))}
    except Exception as error:  # whatever a library raises, its user reads this
        return {"error": f"{type(error).__name__}: {error} {getattr(error, 'response', '') and error.response.text}"}


def both(name: str, ask: Ask) -> dict[str, Any]:
    wrong = (MODEL, [""]) if name in NAMELESS else ("nothing", TEXTS)
    return {"right": outcome(ask, MODEL, TEXTS), "wrong": outcome(ask, *wrong)}


if __name__ == "__main__":
    found = {name: both(name, ask) for name, ask in asks().items()}
    names = [one.model for one in ollama.Client(URL).list().models]
    print(json.dumps({"asked": found, "fields": fields(), "listed by ollama": names}))
