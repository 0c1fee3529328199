"""Every client library gets the vectors of ``/v1/embeddings``, says our words when something is wrong, and sends no field unknown here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from models.catalog.paths import ROOT
from tests.deployments.http.service import TEXT, application, serving
from tests.deployments.http.test_fields import CLIENTS

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
    "litellm",
    "openai at Azure's path",
    "openai without /v1",
    "mistralai",
    "mistralai int8",
    "voyageai",
    "voyageai int8",
    "cohere",
    "cohere int8",
    "ollama",
    "langchain-ollama",
    "huggingface_hub",
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with serving(application(tmp_path_factory.mktemp("served")).app) as running:
        yield running


@pytest.fixture(scope="module")
def said(client: httpx2.Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each library got, in an environment that is made for it."""
    python = tmp_path_factory.mktemp("clients") / "env" / "bin" / "python"
    uv = str(ROOT / "scripts" / "uv.sh")
    subprocess.run([uv, "venv", "--quiet", str(python.parent.parent)], check=True)
    wanted = ["--requirement", str(HERE / "requirements.txt")]
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *wanted], check=True)
    url = str(client.base_url).rstrip("/")
    command = [str(python), str(HERE / "speak.py"), url, json.dumps([TEXT, TEXT]), "m"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("library", EXPECTED)
def test_a_library_gets_the_vectors_of_the_texts(client: httpx2.Client, said: dict[str, Any], library: str) -> None:
    dtype = "int8" if library.endswith("int8") else "float"
    body = {"model": "m", "input": [TEXT, TEXT], "output_dtype": dtype}
    right = [row["embedding"] for row in client.post("/v1/embeddings", json=body).json()["data"]]
    outcome = said["asked"][library]["known"]
    np.testing.assert_array_equal(outcome.get("vectors", outcome), right)


@pytest.mark.parametrize("library", EXPECTED)
def test_a_library_says_our_words_when_something_is_wrong(said: dict[str, Any], library: str) -> None:
    assert "there are: m" in said["asked"][library]["unknown"]["error"]


@pytest.mark.parametrize("name", ["OpenAI", "Voyage", "Mistral", "Cohere", "Ollama", "Hugging Face"])
def test_a_library_sends_no_field_that_is_unknown_here(said: dict[str, Any], name: str) -> None:
    from deployments.http.fields import MEANT, PLAIN
    from tests.deployments.http.test_fields import MEANINGLESS

    known = PLAIN | MEANT | CONNECTING | OWN_FILE.get(name, set()) | MEANINGLESS | CLIENTS.get(name, set())
    assert set(said["fields"][name]) <= known


def test_ollamas_library_lists_the_names(said: dict[str, Any]) -> None:
    assert said["listed by ollama"] == ["m", "image-embedding"]
