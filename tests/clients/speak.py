"""Asks a service through each client library, and prints what each got: `python speak.py URL KNOWN UNKNOWN MODEL`.

Runs in the libraries' own environment, where nothing of this project is installed.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from typing import Any

import cohere
import litellm
import numpy as np
import ollama
import openai
import voyageai
from huggingface_hub import InferenceClient
from langchain_ollama import OllamaEmbeddings
from mistralai.client import Mistral

URL, TEXTS, MODEL = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
Ask = Callable[[str, list[str]], Any]


def plain(value: Any) -> Any:
    return np.asarray(value).tolist()


def asks() -> dict[str, Ask]:
    """By library and kind of numbers, a call that embeds texts by a model."""
    mistral = Mistral(api_key="k", server_url=URL)
    voyage = voyageai.Client(api_key="k", base_url=f"{URL}/v1", max_retries=0)
    speaks_cohere = cohere.ClientV2(api_key="k", base_url=URL)
    azure = openai.AzureOpenAI(api_key="k", azure_endpoint=URL, api_version="2024-10-21", max_retries=0)
    bare = openai.OpenAI(api_key="k", base_url=URL, max_retries=0)

    def by_cohere(kind: str) -> Ask:
        def ask(model: str, texts: list[str]) -> Any:
            answer = speaks_cohere.embed(model=model, input_type="search_query", texts=texts, embedding_types=[kind])
            return getattr(answer.embeddings, "float_" if kind == "float" else kind)

        return ask

    def by_litellm(model: str, texts: list[str]) -> Any:
        url = f"{URL}/v2/models/{model}/infer"
        return [one["embedding"] for one in litellm.embedding(model=f"triton/{model}", input=texts, api_base=url).data]

    return {
        "litellm": by_litellm,
        "openai at Azure's path": lambda model, texts: [
            one.embedding for one in azure.embeddings.create(model=model, input=texts).data
        ],
        "openai without /v1": lambda model, texts: [
            one.embedding for one in bare.embeddings.create(model=model, input=texts).data
        ],
        "mistralai": lambda model, texts: [
            one.embedding for one in mistral.embeddings.create(model=model, inputs=texts).data
        ],
        "mistralai int8": lambda model, texts: [
            one.embedding for one in mistral.embeddings.create(model=model, inputs=texts, output_dtype="int8").data
        ],
        "voyageai": lambda model, texts: voyage.embed(texts, model=model, input_type="query").embeddings,
        "voyageai int8": lambda model, texts: voyage.embed(texts, model=model, output_dtype="int8").embeddings,
        "cohere": by_cohere("float"),
        "cohere int8": by_cohere("int8"),
        "ollama": lambda model, texts: ollama.Client(URL).embed(model=model, input=texts).embeddings,
        "langchain-ollama": lambda model, texts: OllamaEmbeddings(model=model, base_url=URL).embed_documents(texts),
        "huggingface_hub": lambda model, texts: InferenceClient(f"{URL}/embed?model={model}").feature_extraction(texts),
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


def outcome(ask: Ask, model: str) -> dict[str, Any]:
    try:
        return {"vectors": plain(ask(model, TEXTS))}
    except Exception as error:  # whatever a library raises, its user reads this
        return {"error": f"{type(error).__name__}: {error} {getattr(error, 'response', '') and error.response.text}"}


if __name__ == "__main__":
    found = {name: {"known": outcome(ask, MODEL), "unknown": outcome(ask, "nothing")} for name, ask in asks().items()}
    names = [one.model for one in ollama.Client(URL).list().models]
    print(json.dumps({"asked": found, "fields": fields(), "listed by ollama": names}))
