"""Neighbours' protocols give the vectors of ``/v1/embeddings``, and errors as their clients print them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import orjson
import pytest

from tests.deployments.http.service import TEXT, application, serving

RIGHT = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with serving(application(tmp_path_factory.mktemp("dialects"), aliases={"embed": "m"}).app) as running:
        yield running


def post(client: httpx2.Client, path: str, **body: Any) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-model"] == "m@1"
    return answer.json()


@pytest.mark.parametrize("path", ["/embed", "/"])
def test_text_embeddings_inference(client: httpx2.Client, path: str) -> None:
    assert post(client, path, inputs=TEXT) == [RIGHT]
    assert post(client, path, inputs=[TEXT, TEXT], truncate=True, normalize=True) == [RIGHT, RIGHT]
    assert post(client, path, inputs=TEXT, dimensions=2) == [[1.0, 0.0]]
    many = post(client, path, inputs=[TEXT] * 100)
    assert many == [RIGHT] * 100
    assert post(client, path, inputs=TEXT, parameters={"dimensions": 1}) == [[1.0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"truncation_direction": "Left"},
        {"normalize": False},
        {"parameters": {"normalize": False}},
        {"inputs": ""},
        {"inputs": [["a", "b"]]},
        {"model": "nothing"},
    ],
)
def test_text_embeddings_inference_says_what_is_wrong_in_its_own_shape(client: httpx2.Client, wrong: Any) -> None:
    answer = client.post("/embed", json={"inputs": TEXT, **wrong})
    assert answer.status_code in (400, 404)
    assert isinstance(answer.json()["error"], str)
    assert answer.json()["error_type"] == "Validation"


def test_text_embeddings_inference_tells_its_limits(client: httpx2.Client) -> None:
    info = client.get("/info").json()
    assert info["model_id"] == "m@1"
    assert info["max_client_batch_size"] == 2048


def test_ollama(client: httpx2.Client) -> None:
    for name in ("m", "m:latest", "m@1", "embed"):
        answer = post(client, "/api/embed", model=name, input=[TEXT, TEXT])
        assert answer["embeddings"] == [RIGHT, RIGHT]
        assert (answer["model"], answer["prompt_eval_count"]) == (name, 10)
    assert post(client, "/api/embed", model="m", input=TEXT, options={"temperature": 0, "num_ctx": None})[
        "embeddings"
    ] == [RIGHT]
    assert post(client, "/api/embeddings", model="m", prompt=TEXT)["embedding"] == RIGHT
    assert [one["name"] for one in client.get("/api/tags").json()["models"]] == ["m", "image-embedding", "embed"]
    assert client.get("/api/version").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [{"model": "nothing"}, {"options": {"embedding_only": 1}}, {"options": 3}, {"input": ""}, {"dimensions": 9}],
)
def test_ollama_says_what_is_wrong_in_its_own_shape(client: httpx2.Client, wrong: Any) -> None:
    answer = client.post("/api/embed", json={"model": "m", "input": TEXT, **wrong})
    assert answer.status_code in (400, 404)
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("count", [2, 20])
def test_ollamas_answer_with_one_vector_is_not_given_for_several_texts(client: httpx2.Client, count: int) -> None:
    answer = client.post("/api/embeddings", json={"model": "m", "prompt": [TEXT] * count})
    assert (answer.status_code, answer.json()["param"]) == (400, "prompt")
    assert "/api/embed" in answer.json()["error"]


def test_ollama_takes_what_curl_sends_without_a_content_type(client: httpx2.Client) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}  # curl's own for -d
    answer = client.post("/api/embed", content=orjson.dumps({"model": "m", "input": TEXT}), headers=form)
    assert answer.json()["embeddings"] == [RIGHT]


def test_weaviates_text_module(client: httpx2.Client) -> None:
    config = {"pooling_strategy": "masked_mean", "task_type": "query"}
    one = post(client, "/vectors", text=TEXT, dims=0, vector=None, error="", config=config)
    assert (one["text"], one["vector"], one["dims"]) == (TEXT, RIGHT, 4)
    many = post(client, "/vectors", texts=[TEXT, TEXT], config={**config, "dimensions": 2})
    assert (many["vectors"], many["dims"]) == ([RIGHT[:2], RIGHT[:2]], 2)
    assert client.get("/.well-known/live").status_code == 204
    assert client.get("/meta").json()["text"]["model"] == "m@1"


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/vectors", {"text": ""}),
        ("/vectors", {"text": 1}),
        ("/vectors", {"texts": []}),
        ("/vectors", {"text": TEXT, "config": {"pooling_strategy": "cls"}}),
        ("/vectors", {"text": TEXT, "config": {"dimensions": 9}}),
        ("/vectorize", {"texts": [], "images": []}),
        ("/vectorize", {"images": ["no picture"]}),
        ("/vectors", {"text": TEXT, "config": []}),
        ("/vectors", {"text": TEXT, "config": {"task_type": 0}}),
    ],
)
def test_weaviate_is_told_what_is_wrong_in_its_own_shape(client: httpx2.Client, path: str, wrong: Any) -> None:
    answer = client.post(path, json=wrong)
    assert answer.status_code == 400
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("value", [0, False, {}])
def test_weaviate_is_not_told_that_texts_are_missing_which_are_wrong(client: httpx2.Client, value: Any) -> None:
    answer = client.post("/vectorize", json={"texts": value, "images": []})
    assert (answer.status_code, answer.json()["param"]) == (400, "texts")
    assert answer.json()["error"].startswith("texts is ")


def test_litellm_has_a_name_of_its_own_for_the_tensor(client: httpx2.Client) -> None:
    tensor = {"name": "input_text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}
    assert post(client, "/v2/models/m/infer", inputs=[tensor])["outputs"][0]["data"] == RIGHT


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/v2/systemsharedmemory/status", "system shared memory"),
        ("POST", "/v2/cudasharedmemory/region/r/register", "CUDA shared memory"),
        ("GET", "/v2/models/m/stats", "/metrics"),
        ("GET", "/v2/models/m/versions/1/stats", "/metrics"),
        ("GET", "/v2/models/stats", "/metrics"),
        ("POST", "/v2/repository/models/m/load", "embedserve add"),
        ("GET", "/v2/logging", "not offered"),
    ],
)
def test_what_triton_has_and_this_service_has_not_is_refused_by_name(
    client: httpx2.Client, method: str, path: str, words: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 501
    assert words in answer.json()["error"]


def test_triton_index_and_configuration(client: httpx2.Client) -> None:
    index = client.post("/v2/repository/index", json={}).json()
    assert [(one["name"], one["version"]) for one in index] == [("m", "1"), ("image-embedding", "1")]
    assert all(one["state"] == "READY" for one in client.post("/v2/repository/index", json={"ready": True}).json())
    for path in ("/v2/models/m/config", "/v2/models/m/versions/1/config"):
        config = client.get(path).json()
        assert (config["name"], config["output"][0]["dims"]) == ("m", [-1, 4])


def test_open_inference_takes_names_with_slashes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("aliases")
    with serving(application(folder, aliases={"sentence-transformers/m": "m"}).app) as client:
        path = "/v2/models/sentence-transformers/m"
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}
        assert post(client, f"{path}/infer", inputs=[tensor])["outputs"][0]["data"] == RIGHT
        assert client.get(path).json()["name"] == client.get(f"{path}/config").json()["name"] == "m"


def test_cohere(client: httpx2.Client) -> None:
    types = ["float", "int8", "uint8", "base64"]
    common = {"model": "m", "input_type": "search_query"}
    answer = post(client, "/v2/embed", **common, texts=[TEXT, TEXT], embedding_types=types)
    found = answer["embeddings"]
    assert list(found) == types
    assert found["float"] == [RIGHT, RIGHT]
    assert found["int8"][0] == [127, 0, 0, 0]
    assert found["uint8"][0] == [255, 128, 128, 128]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(found["base64"][1]), "<f4"), np.float32(RIGHT))
    assert answer["texts"] == [TEXT, TEXT]
    assert answer["meta"]["billed_units"]["input_tokens"] == 10
    inputs = [{"content": [{"type": "text", "text": TEXT}]}]
    assert post(client, "/v2/embed", **common, inputs=inputs, truncate="END")["embeddings"] == {"float": [RIGHT]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"embedding_types": ["int4"]},
        {"embedding_types": "float"},
        {"truncate": "START"},
        {"max_tokens": 5},
        {"images": ["data:image/png;base64,AA=="]},
        {"texts": None, "images": ["data:image/png;base64,AA=="]},
        {"texts": None, "inputs": [{"content": [{"text": "a"}, {"text": "b"}]}]},
        {"texts": [""]},
        {"output_dimension": 5},
        {"model": "nothing"},
    ],
)
def test_cohere_says_what_is_wrong_in_its_own_shape(client: httpx2.Client, wrong: Any) -> None:
    answer = client.post("/v2/embed", json={"model": "m", "input_type": "search_query", "texts": [TEXT], **wrong})
    assert answer.status_code in (400, 404), answer.text
    assert isinstance(answer.json()["message"], str)


def test_paths_of_azure_and_of_clients_without_a_version(client: httpx2.Client) -> None:
    for path, body in (
        ("/embeddings", {"model": "m"}),
        ("/openai/deployments/m/embeddings?api-version=2024-10-21", {}),
    ):
        assert post(client, path, input=TEXT, **body)["data"][0]["embedding"] == RIGHT
    everything = {"model": "m", "dimensions": 0, "modality": "text"}  # as infinity's client says it
    assert post(client, "/embeddings", input=[TEXT], **everything)["data"][0]["embedding"] == RIGHT
    assert client.get("/models").json() == client.get("/v1/models").json()
    assert isinstance(client.post("/openai/deployments/x/embeddings", json={"input": "a"}).json()["error"], dict)


def test_jinas_form_says_what_the_inputs_are(client: httpx2.Client) -> None:
    assert post(client, "/v1/embeddings", model="m", input=[{"text": TEXT}])["data"][0]["embedding"] == RIGHT
    pictures = [{"image": TEXT}]
    for wrong in (
        pictures,
        [{"text": TEXT}, *pictures],
        [{"text": 1}],
        [{"text": "a", "image": "b"}],
        [{"text": "a"}, "b"],
    ):
        answer = client.post("/v1/embeddings", json={"model": "m", "input": wrong})
        assert answer.status_code == 400, answer.text
    answer = client.post("/v1/embeddings", json={"model": "m", "input": TEXT, "modality": "image"})
    assert answer.json()["error"]["code"] == "wrong_modality"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_jinas_clients_find_our_words_where_they_look(client: httpx2.Client, path: str) -> None:
    said = client.post(path, json={"model": "nothing", "input": [{"text": TEXT}]}).json()
    assert said["detail"] == said["error"]["message"]
    assert "there are: m" in said["detail"]


def test_an_answer_has_an_id_as_mistrals_client_demands_and_equal_requests_have_equal_answers(
    client: httpx2.Client,
) -> None:
    first, second = (client.post("/v1/embeddings", json={"model": "m", "input": TEXT}) for _ in range(2))
    assert first.json()["id"] == "embd-0123"
    assert first.content == second.content


def test_open_inference_says_what_is_wrong_as_a_sentence(client: httpx2.Client) -> None:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}
    shared = {**tensor, "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 8}}
    for body, words in (
        ({"inputs": []}, "one tensor"),
        ({"inputs": [shared]}, "shared_memory"),
        (
            {"inputs": [tensor], "outputs": [{"name": "embedding", "parameters": {"classification": 3}}]},
            "classification",
        ),
        ({"inputs": [tensor], "parameters": {"normalize": False}}, "normalize"),
    ):
        answer = client.post("/v2/models/m/infer", json=body)
        assert answer.status_code == 400
        assert words in answer.json()["error"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert "ready" in client.get("/v2/health/ready").json()
    assert isinstance(client.get("/v2/nothing").json()["error"], str)
