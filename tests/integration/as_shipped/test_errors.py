"""Every row of the contract's error table, over the socket."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import signal
import socket
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.integration.service import Service, children

TEXT = {"model": "text-embedding", "input": "hello"}


def post(client: httpx2.Client, **changes: Any) -> httpx2.Response:
    return client.post("/v1/embeddings", json={**TEXT, **changes})


def problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    if answer.request.url.path.startswith("/v2"):  # the Open Inference Protocol has a sentence
        error = {"message": error, "type": None, "param": None, "code": None}
    assert set(error) == {"message", "type", "param", "code"}
    assert "Traceback" not in error["message"]
    assert "/" not in (error["param"] or "")
    return error


BAD_REQUESTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("an empty string", {"input": ""}, "input", "empty"),
    ("an empty list", {"input": []}, "input", "empty"),
    ("an empty string in a list", {"input": ["a", ""]}, "input[1]", "input[1] is empty"),
    ("a number as input", {"input": 5}, "input", "input is a number"),
    ("no input", {"input": None}, "input", "missing"),
    ("a mixed list", {"input": ["a", 5]}, "input[1]", "input[1] is a number"),
    ("an empty list of token ids", {"input": [[1], []]}, "input[1]", "input[1] is empty"),
    ("a boolean among token ids", {"input": [1, True]}, "input", "true"),
    ("a token id outside OpenAI's vocabulary", {"input": [[101], [100256]]}, "input[1]", "vocabulary cl100k_base"),
    ("a negative token id", {"input": [-1]}, "input", "-1"),
    ("an unknown encoding_format", {"encoding_format": "hex"}, "encoding_format", "'float' or 'base64'"),
    ("zero dimensions", {"dimensions": 0}, "dimensions", "from 1 to 384"),
    ("too many dimensions", {"dimensions": 385}, "dimensions", "from 1 to 384"),
    ("dimensions as a string", {"dimensions": "8"}, "dimensions", "integer"),
    ("a model that is no string", {"model": 7}, "model", "GET /v1/models"),
    ("a user that is no string", {"user": 7}, "user", "string"),
    ("text for the image model", {"model": "image-embedding", "input": "a cat!"}, "input", "base64"),
    ("token ids for the image model", {"model": "image-embedding", "input": [1, 2]}, "input", "images"),
    (
        "a URL where fetching is off",
        {"model": "image-embedding", "input": "https://a.b/c.png"},
        "input",
        "switched off",
    ),
    ("a data URI of another type", {"model": "image-embedding", "input": "data:text/plain,hi"}, "input", "data:image/"),
]


@pytest.mark.parametrize(
    ("change", "param", "says"), [row[1:] for row in BAD_REQUESTS], ids=[r[0] for r in BAD_REQUESTS]
)
def test_400_says_what_is_wrong_and_where(client: httpx2.Client, change: dict[str, Any], param: str, says: str) -> None:
    error = problem(post(client, **change), 400)
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert says in error["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'"text"', b"\xff\xfe", b'{"input": NaN}'])
def test_400_for_a_body_that_is_no_json_object(client: httpx2.Client, body: bytes) -> None:
    answer = client.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
    assert problem(answer, 400)["code"] == "invalid_json"


def test_400_names_the_undecodable_image_of_a_list(client: httpx2.Client, png: bytes) -> None:
    images = [base64.b64encode(data).decode() for data in (png, b"no image", png)]
    error = problem(post(client, model="image-embedding", input=images), 400)
    assert error["param"] == "input[1]"
    assert error["code"] == "invalid_image"


@pytest.mark.parametrize("cut", [10, 60, -20])
def test_400_for_a_truncated_picture(client: httpx2.Client, jpeg: bytes, cut: int) -> None:
    answer = client.post("/v1/embeddings/image", content=jpeg[:cut], headers={"content-type": "image/jpeg"})
    assert problem(answer, 400)["code"] == "invalid_image"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/v1/models/nothing"),
        ("GET", "/v2/models/nothing"),
        ("GET", "/v1/models/text-embedding@9"),
    ],
)
def test_404_for_unknown_routes_and_models(client: httpx2.Client, method: str, path: str) -> None:
    problem(client.request(method, path), 404)


@pytest.mark.parametrize("model", ["nothing", "text-embedding@9.9.9", "nothing@1.0.0", "@", "text-embedding@"])
def test_404_for_an_unknown_model_names_those_there_are(client: httpx2.Client, model: str) -> None:
    message = problem(post(client, model=model), 404)["message"]
    assert "text-embedding" in message or "1.0.0" in message


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/embeddings"), ("POST", "/v1/models"), ("DELETE", "/health/live")]
)
def test_405_says_what_is_allowed(client: httpx2.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    problem(answer, 405)
    assert answer.headers["allow"]


def test_413_for_a_body_over_its_limit_names_the_limit(client: httpx2.Client) -> None:
    error = problem(post(client, input="x" * (33 << 20)), 413)
    assert str(32 << 20) in error["message"]


def test_413_for_a_chunked_body_over_its_limit(client: httpx2.Client) -> None:
    chunks = (b"x" * (1 << 20) for _ in range(40))
    answer = client.post("/v1/embeddings", content=chunks, headers={"content-type": "application/json"})
    problem(answer, 413)


def test_413_for_too_many_items(client: httpx2.Client) -> None:
    assert "2048" in problem(post(client, input=["a"] * 2049), 413)["message"]


def test_413_for_too_many_pixels_before_they_are_decoded(client: httpx2.Client) -> None:
    buffer = io.BytesIO()
    Image.new("1", (10_000, 8_000)).save(buffer, "PNG")
    answer = client.post("/v1/embeddings/image", content=buffer.getvalue(), headers={"content-type": "image/png"})
    assert "50000000 pixels" in problem(answer, 413)["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_415_for_a_content_type_that_json_is_not(client: httpx2.Client, kind: str) -> None:
    answer = client.post("/v1/embeddings", content=json.dumps(TEXT), headers={"content-type": kind})
    assert "application/json" in problem(answer, 415)["message"]


def test_415_for_a_picture_without_its_type(client: httpx2.Client, jpeg: bytes) -> None:
    problem(client.post("/v1/embeddings/image", content=jpeg, headers={"content-type": "text/html"}), 415)


def test_504_when_the_deadline_passes(client: httpx2.Client) -> None:
    texts = [f"a text of some length, number {i} " * 40 for i in range(200)]
    answer = client.post("/v1/embeddings", json={**TEXT, "input": texts}, headers={"x-request-timeout-seconds": "0.05"})
    assert problem(answer, 504)["type"] == "server_error"


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "1e9"])
def test_400_for_a_deadline_that_is_none(client: httpx2.Client, value: str) -> None:
    answer = client.post("/v1/embeddings", json=TEXT, headers={"x-request-timeout-seconds": value})
    assert problem(answer, 400)["param"] == "x-request-timeout-seconds"


def test_a_bad_item_fails_its_own_request_only(client: httpx2.Client, service: Service) -> None:
    """Many requests at once share calls and batches; the good ones get their vectors, bit for bit."""
    from concurrent.futures import ThreadPoolExecutor

    def one(i: int) -> httpx2.Response:
        given = [40000 + i] if i % 3 == 0 else f"text number {i}"
        own = {"x-token-vocabulary": "model"}  # what is no id of the model's fails in the encoder
        return client.post("/v1/embeddings", json={**TEXT, "input": given}, headers=own)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(96)))
    assert [a.status_code for a in answers] == [400 if i % 3 == 0 else 200 for i in range(96)]
    again = post(client, input="text number 1").json()["data"][0]["embedding"]
    assert answers[1].json()["data"][0]["embedding"] == again


def test_a_request_cut_off_midway_leaves_the_service_well(client: httpx2.Client, service: Service) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", service.port)) as half:
            half.sendall(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    assert post(client).status_code == 200


def test_503_when_the_gateway_can_hold_no_more_asks_to_come_again(client: httpx2.Client, service: Service) -> None:
    """HAProxy gives a gateway no more than it may have; gateways are stopped, so that they answer none of them."""
    gateways = [pid for pid, title in children(service).items() if title.startswith("ray::ServeReplica:gateway")]
    body = json.dumps(TEXT).encode()
    head = f"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    with contextlib.ExitStack() as stack:
        for gateway in gateways:  # load may have brought a second one
            os.kill(gateway, signal.SIGSTOP)
            stack.callback(os.kill, gateway, signal.SIGCONT)
        count = 600 * len(gateways)
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", service.port))) for _ in range(count)]
        for one in held:
            one.sendall(f"{head}\r\n\r\n".encode() + body)
        held[-1].settimeout(30)
        assert held[-1].recv(12) == b"HTTP/1.1 503"  # from now on it is full: before, the client may still find room
        answer = post(client)
    error = problem(answer, 503)
    assert (error["type"], error["code"]) == ("server_error", "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert post(client).status_code == 200
