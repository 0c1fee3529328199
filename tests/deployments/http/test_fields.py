"""A field that changes what an answer means is honoured or refused, in whichever neighbour's protocol it is written."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from deployments.contract.embedding import Embedding, Label
from deployments.contract.model_info import ModelInfo
from deployments.gateway.cache.key import cache_key
from deployments.http.fields import AS_IT_IS, MEANT, PLAIN
from models.inputs.prompted import Prompted
from tests.deployments.http.service import HASH, NUMERICS, application, serving

TEXT, CUT, LONG = "a text", "a text that was cut", "a model whose vectors are longer"
DIMENSIONS = 16
VECTOR = np.linspace(-1, 1, DIMENSIONS, dtype=np.float32)
VECTOR /= np.linalg.norm(VECTOR)

# The fields of a request for vectors, as the signatures of the clients' own libraries name them, without those that say how to
# connect: openai 3.54, voyageai 0.5, mistralai 3.7, cohere 7.3, ollama 0.6, huggingface_hub 2.4, and Jina's API.
CLIENTS: dict[str, set[str]] = {
    "OpenAI": {"input", "model", "dimensions", "encoding_format", "user"},
    "Voyage": {"input", "model", "input_type", "truncation", "output_dtype", "output_dimension", "encoding_format"},
    "Mistral": {"input", "model", "metadata", "output_dimension", "output_dtype", "encoding_format"},
    "Jina": {
        "input",
        "model",
        "task",
        "dimensions",
        "normalized",
        "embedding_type",
        "late_chunking",
        "truncate",
        "return_multivector",
    },
    "NVIDIA": {"input", "model", "input_type", "truncate", "encoding_format", "user", "dimensions", "embedding_type"},
    "vLLM": {
        "input",
        "model",
        "messages",
        "encoding_format",
        "dimensions",
        "user",
        "truncate_prompt_tokens",
        "normalize",
        "add_special_tokens",
        "embed_dtype",
        "endianness",
    },
}
SAME = {"normalized": "normalize", "output_dimension": "dimensions", "modality": "input", "prompt_name": "input_type"}
MEANINGLESS = {"metadata"}  # of the vectors
NOTHING_ELSE = (False, 0, "x", ["x"], {"a": 1}, 3.5, True)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    built = application(tmp_path_factory.mktemp("fields"))
    label = Label("m@1", HASH, numerics=NUMERICS)
    version = built.embeddings.registry.versions["m@1"]
    version.info = ModelInfo(label, "m", "text", DIMENSIONS, "fp32", "CPU", max_tokens=5)
    cache = built.embeddings.cache
    cache.put(cache_key(label.identity, TEXT), Embedding(VECTOR, 5, label))
    cache.put(cache_key(label.identity, CUT), Embedding(VECTOR, 5, label, cut=7))
    cache.put(cache_key(label.identity, LONG), Embedding(VECTOR * 5, 5, label))
    with serving(built.app) as found:
        yield found


def ask(
    client: httpx2.Client, given: Any = TEXT, headers: dict[str, str] | None = None, **fields: Any
) -> httpx2.Response:
    return client.post("/v1/embeddings", json={"model": "m", "input": given, **fields}, headers=headers)


def vector_of(answer: httpx2.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["data"][0]["embedding"]


def refusal_of(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.status_code == 400, answer.text
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize("name", CLIENTS)
def test_every_field_of_a_client_is_known_here(name: str) -> None:
    assert CLIENTS[name] - MEANINGLESS <= PLAIN | MEANT


@pytest.mark.parametrize("field", sorted(MEANT))
def test_a_field_that_is_known_never_passes_whatever_its_value(client: httpx2.Client, field: str) -> None:
    """It changes the answer as documented, or is refused; only values that ask for what is done anyway pass."""
    usual = vector_of(ask(client))
    harmless = {*AS_IT_IS.get(field, ((), ""))[0][:1]} if field in AS_IT_IS and field != "embedding_types" else set()
    for value in NOTHING_ELSE:
        answer = ask(client, **{field: value})
        if answer.status_code == 400:
            assert refusal_of(answer)["param"] in (field, SAME.get(field))
            continue
        assert vector_of(answer) == usual
        allowed = field in ("truncate", "truncation", "normalize", "normalized") and isinstance(value, bool)
        assert (
            allowed
            or value in harmless
            or (isinstance(value, str) and field in ("input_type", "task", "task_type", "prompt_name"))
        )


@pytest.mark.parametrize("field", ["dimensions", "output_dimension"])
def test_fewer_dimensions_are_asked_for_in_every_way(client: httpx2.Client, field: str) -> None:
    short = VECTOR[:8] / np.linalg.norm(VECTOR[:8])
    np.testing.assert_allclose(vector_of(ask(client, **{field: 8})), short, atol=1e-6)
    assert "from 1 to 16" in refusal_of(ask(client, **{field: 17}))["message"]


@pytest.mark.parametrize(
    ("dtype", "read", "back"),
    [
        ("float", "<f4", lambda numbers: numbers),
        ("int8", "i1", lambda numbers: numbers / 127),
        ("uint8", "u1", lambda numbers: (numbers.astype(int) - 128) / 127),
    ],
)
@pytest.mark.parametrize("field", ["output_dtype", "embedding_type"])
def test_numbers_come_back_as_documented_in_json_in_base64_and_raw(
    client: httpx2.Client, field: str, dtype: str, read: str, back: Any
) -> None:
    plain = np.array(vector_of(ask(client, **{field: dtype})))
    packed = np.frombuffer(base64.b64decode(vector_of(ask(client, encoding_format="base64", **{field: dtype}))), read)
    raw = ask(client, [TEXT, TEXT], {"accept": "application/octet-stream"}, **{field: dtype})
    np.testing.assert_array_equal(plain.astype(read), packed)
    np.testing.assert_array_equal(np.frombuffer(raw.content, read).reshape(2, DIMENSIONS), [packed, packed])
    np.testing.assert_allclose(back(packed), VECTOR, atol=0.5 / 127 + 1e-7)
    assert raw.headers["content-type"] == "application/octet-stream"
    assert (raw.headers["x-dimensions"], raw.headers["x-output-dtype"]) == (str(DIMENSIONS), dtype)
    assert raw.headers["x-model"] == "m@1"


def test_signs_are_packed_eight_to_a_byte(client: httpx2.Client) -> None:
    unsigned, signed = (np.array(vector_of(ask(client, output_dtype=name))) for name in ("ubinary", "binary"))
    np.testing.assert_array_equal(np.unpackbits(unsigned.astype(np.uint8)), VECTOR > 0)
    np.testing.assert_array_equal(unsigned - 128, signed)
    assert "multiple of 8" in refusal_of(ask(client, output_dtype="binary", dimensions=12))["message"]


def test_numbers_that_would_not_fit_are_refused(client: httpx2.Client) -> None:
    assert (
        "length 1"
        in refusal_of(ask(client, LONG, output_dtype="int8", dimensions=DIMENSIONS, normalize=False))["message"]
    )


@pytest.mark.parametrize(("field", "never"), [("truncate", False), ("truncate", "NONE"), ("truncation", False)])
def test_what_is_too_long_is_refused_where_it_may_not_be_cut(client: httpx2.Client, field: str, never: Any) -> None:
    error = refusal_of(ask(client, [TEXT, CUT], **{field: never}))
    assert (error["param"], error["code"]) == ("input[1]", "input_too_long")
    assert "5 tokens" in error["message"]
    assert "7 characters" in error["message"]
    assert vector_of(ask(client, TEXT, **{field: never}))


def test_the_header_refuses_what_is_too_long_too(client: httpx2.Client) -> None:
    assert refusal_of(ask(client, CUT, {"x-truncate": "false"}))["code"] == "input_too_long"
    assert "'true' or 'false'" in refusal_of(ask(client, CUT, {"x-truncate": "no"}))["message"]


def test_what_was_cut_is_counted_where_it_may_be(client: httpx2.Client) -> None:
    answer = ask(client, [CUT, TEXT, CUT], {"x-truncate": "true"}, truncate=True)
    assert (answer.headers["x-truncated"], answer.headers["x-truncated-by"]) == ("2", "14")
    assert "x-truncated" not in ask(client).headers


def test_vectors_are_of_length_one_or_as_they_are_when_asked(client: httpx2.Client) -> None:
    assert vector_of(ask(client, normalize=True)) == vector_of(ask(client))
    assert refusal_of(ask(client, normalize=False))["param"] == "normalize"
    assert np.linalg.norm(vector_of(ask(client, LONG))) == pytest.approx(5)
    assert np.linalg.norm(vector_of(ask(client, LONG, normalized=True))) == pytest.approx(1)
    assert np.linalg.norm(vector_of(ask(client, LONG, normalized=False))) == pytest.approx(5)


def test_kinds_of_input_change_nothing_where_a_model_has_no_prompts_and_choose_one_where_it_has(
    tmp_path: Path,
) -> None:
    built = application(tmp_path)
    version = built.embeddings.registry.versions["m@1"]
    built.embeddings.cache.put(
        cache_key(version.info.label.identity, TEXT), Embedding(VECTOR[:4], 5, version.info.label)
    )  # type: ignore[union-attr]
    with serving(built.app) as client:
        assert vector_of(ask(client, input_type="query"))
        assert "has no prompts; leave it out" in refusal_of(ask(client, prompt_name="query"))["message"]
        label = Label("m@1", HASH, numerics=NUMERICS)
        version.info = ModelInfo(label, "m", "text", 4, "fp32", "CPU", prompts=("query",), selectable=("query",))
        built.embeddings.cache.put(cache_key(label.identity, Prompted("query", TEXT)), Embedding(-VECTOR[:4], 5, label))
        assert vector_of(ask(client, input_type="search_query")) == [-x for x in vector_of(ask(client))]
        assert "this model's prompts are query" in refusal_of(ask(client, input_type="clustering"))["message"]


def test_fields_that_contradict_each_other_are_refused(client: httpx2.Client) -> None:
    assert "contradict" in refusal_of(ask(client, dimensions=8, output_dimension=4))["message"]
    assert vector_of(ask(client, dimensions=8, output_dimension=8))


def test_pictures_as_they_are_take_the_same_fields_in_the_query(client: httpx2.Client) -> None:
    for query in ("output_dtype=int16", "truncate=maybe", "output_dimension=x"):
        answer = client.post(f"/v1/embeddings/image?{query}", content=b"x", headers={"content-type": "image/png"})
        assert refusal_of(answer)["param"] == query.partition("=")[0]
