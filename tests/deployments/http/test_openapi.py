"""The description holds what is served, and what is served is as described."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel
from starlette.routing import Route

from deployments.auth.authenticator import Authenticator
from deployments.http.app import routing
from deployments.http.openapi.document import document
from deployments.http.openapi.schemas import EmbeddingRequest, EmbeddingResponse, Error, InferRequest, Model
from tests.deployments.http.service import TEXT, application, serving

INPUTS = [TEXT, [TEXT, "b"], [1, 2], [[1, 2], [3]]]


class Sentence(BaseModel):
    """An error of the Open Inference Protocol."""

    error: str


TENSOR = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with serving(application(tmp_path_factory.mktemp("http")).app) as running:
        yield running


def test_every_route_is_described_and_nothing_else(tmp_path: Path) -> None:
    embeddings = application(tmp_path).embeddings
    routes = [
        route
        for route in routing(embeddings, Authenticator("development", {})).routes
        if isinstance(route, Route) and route.include_in_schema  # neighbours' protocols are described by themselves
    ]
    served = {(route.path.replace(":path", ""), method) for route in routes for method in route.methods or ()}
    described = {(path, method.upper()) for path, methods in document()["paths"].items() for method in methods}
    assert described == {(path, method) for path, method in served if method != "HEAD"}


@pytest.mark.parametrize("keys", [False, True])
def test_every_schema_that_is_pointed_at_is_there(keys: bool) -> None:
    described = document(keys=keys)
    pointed = set(re.findall(r"'#/components/schemas/(\w+)'", str(described)))
    assert pointed == set(described["components"]["schemas"])


@pytest.mark.parametrize("value", INPUTS, ids=["a text", "texts", "token ids", "lists of token ids"])
def test_a_described_request_is_one_that_is_read(client: httpx2.Client, value: Any) -> None:
    body = EmbeddingRequest(model="m", input=value).model_dump()
    answer = client.post("/v1/embeddings", json=body, headers={"x-request-timeout-seconds": "0.1"})
    assert answer.status_code in (200, 504)  # only TEXT has a vector here, and nothing is wrong with the others
    assert EmbeddingRequest.model_validate(body).input == value


@pytest.mark.parametrize(
    ("method", "path", "body", "model"),
    [
        ("POST", "/v1/embeddings", EmbeddingRequest(model="m", input=TEXT), EmbeddingResponse),
        (
            "POST",
            "/v1/embeddings",
            EmbeddingRequest(model="m", input=TEXT, encoding_format="base64"),
            EmbeddingResponse,
        ),
        ("POST", "/v1/embeddings", EmbeddingRequest(model="nothing", input=TEXT), Error),
        ("POST", "/v2/models/nothing/infer", InferRequest.model_validate({"inputs": [TENSOR]}), Sentence),
        ("GET", "/v1/models/m", None, Model),
        ("GET", "/v1/models/nothing", None, Error),
    ],
)
def test_an_answer_is_as_described(
    client: httpx2.Client, method: str, path: str, body: BaseModel | None, model: type[BaseModel]
) -> None:
    answer = client.request(method, path, content=body and body.model_dump_json())
    described = model.model_validate_json(answer.content, strict=True)
    assert described.model_dump(exclude_unset=True).items() <= answer.json().items()


def test_what_may_be_null_is_said_as_one_type_and_its_default_is_not_said() -> None:
    fields = document()["components"]["schemas"]["EmbeddingRequest"]["properties"]
    assert fields["dimensions"] == {"type": ["integer", "null"], "minimum": 1}
    assert fields["encoding_format"] == {
        "type": ["string", "null"],
        "enum": ["float", "base64", None],
        "default": "float",
    }
