"""Every client library gets the vectors of the running service's ``/v1/embeddings``, says our words when something is wrong, and
sends no field unknown here. ``tests/integration/as_shipped/test_table_of_clients.py`` is the short form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from models.catalog.paths import ROOT
from tests.deployments.http.test_fields import CLIENTS
from tests.integration.service import Service

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
# Arguments that say how to connect, or that the library itself keeps.
CONNECTING = {
    "retries",
    "server_url",
    "timeout_ms",
    "http_headers",
    "request_options",
    "extra_headers",
    "extra_query",
    "extra_body",
    "timeout",
    "keep_alive",
    "priority",
    "texts",
    "inputs",
    "images",
    "text",
    "options",
}
OWN_FILE = {"Cohere": {"embedding_types", "max_tokens"}}  # honoured or refused where its protocol is read
EXPECTED = [
    "openai",
    "openai at Azure's path",
    "openai without /v1",
    "langchain-openai",
    "langchain-ollama",
    "ollama",
    "cohere",
    "cohere int8",
    "voyageai",
    "voyageai int8",
    "mistralai",
    "mistralai int8",
    "huggingface_hub",
    "llama-index",
    "chromadb",
    "infinity_client",
    "jina-haystack",
    "tritonclient",
    "kserve",
    "litellm",
]
TEXTS, MODEL = ["hello world", "good morning"], "text-embedding"
# Those whose requests name no model get a wrong text instead. They look at no status, take the error for vectors, and fail on it:
# LlamaIndex shows how ours begins, chroma that it is one.
WORDS = {"llama-index": "{'error': 'input", "chromadb": "could not convert string to float: 'error'"}


@pytest.fixture(scope="module")
def said(service: Service, cl100k: object, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each library got from the running service, in an environment that is made for it."""
    python = tmp_path_factory.mktemp("clients") / "env" / "bin" / "python"
    uv = str(ROOT / "scripts" / "uv.sh")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(python.parent.parent)], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", str(python), "--requirement"]
    subprocess.run([*install, str(HERE / "requirements.txt")], check=True)
    subprocess.run([*install, str(HERE / "requirements-alone.txt"), "--no-deps"], check=True)
    command = [str(python), str(HERE / "speak.py"), service.url, json.dumps(TEXTS), MODEL]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_library_is_asked(said: dict[str, Any]) -> None:
    assert list(said["asked"]) == EXPECTED


@pytest.mark.parametrize("library", EXPECTED)
def test_a_library_gets_the_vectors_of_the_texts(client: httpx2.Client, said: dict[str, Any], library: str) -> None:
    dtype = "int8" if library.endswith("int8") else "float"
    body = {"model": MODEL, "input": TEXTS, "output_dtype": dtype}
    right = [row["embedding"] for row in client.post("/v1/embeddings", json=body).json()["data"]]
    outcome = said["asked"][library]["right"]
    np.testing.assert_array_equal(np.array(outcome.get("vectors", outcome), np.float32), np.array(right, np.float32))


@pytest.mark.parametrize("library", EXPECTED)
def test_a_library_says_our_words_when_something_is_wrong(said: dict[str, Any], library: str) -> None:
    assert WORDS.get(library, f"there are: {MODEL}") in said["asked"][library]["wrong"]["error"]


@pytest.mark.parametrize("name", ["OpenAI", "Voyage", "Mistral", "Cohere", "Ollama", "Hugging Face"])
def test_a_library_sends_no_field_that_is_unknown_here(said: dict[str, Any], name: str) -> None:
    from deployments.http.fields import MEANT, PLAIN
    from tests.deployments.http.test_fields import MEANINGLESS

    known = PLAIN | MEANT | CONNECTING | OWN_FILE.get(name, set()) | MEANINGLESS | CLIENTS.get(name, set())
    assert set(said["fields"][name]) <= known


def test_ollamas_library_lists_the_names(said: dict[str, Any]) -> None:
    assert said["listed by ollama"][:2] == [MODEL, "image-embedding"]
