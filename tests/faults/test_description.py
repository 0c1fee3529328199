"""The service behaves as its own description says: every check of schemathesis on every operation.

A schema cannot say that a picture must be one, that ``shape`` counts ``data``, or which models there are. Requests that
follow the schema in everything are fitted in that much; those that break it stay as they were made.
"""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode

from tests.faults.hostile.pictures import encoded, scene
from tests.integration.service import Service

EXAMPLES = int(os.environ.get("EMBEDSERVE_EXAMPLES", "15"))  # of each operation; `make faults` takes more
PICTURE = encoded(scene(), "PNG")
VOCABULARY, TEXT_DIMENSIONS, IMAGE_DIMENSIONS = 30_522, 384, 512
PICTURES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")

for kind in PICTURES:
    schemathesis.openapi.media_type(kind, st.just(PICTURE))


@pytest.fixture(scope="module")
def description(service: Service) -> Any:
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


api = schemathesis.pytest.from_fixture("description")


@api.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_does_as_it_is_described(case: Case) -> None:
    fit(case)
    with requests.Session() as session:
        session.trust_env = False
        case.call_and_validate(session=session, timeout=60)


def fit(case: Case) -> None:
    """Make a request that follows the schema one that makes sense."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    if "version" in (case.path_parameters or {}):
        case.path_parameters.update(model="text-embedding", version="1.0.0")
    elif "model" in (case.path_parameters or {}):
        case.path_parameters["model"] = "text-embedding"
    path = case.operation.path
    if path == "/v1/embeddings":
        _fit_texts(case.body)
    elif path == "/v1/embeddings/image":
        _fit_pictures(case)
    elif path.endswith("/infer"):
        tensor = case.body["inputs"][0]
        tensor["name"] = "text"
        tensor["shape"] = [len(tensor["data"])]


def _fit_texts(body: dict[str, Any]) -> None:
    body["model"] = "text-embedding"
    if body.get("dimensions"):
        body["dimensions"] = (body["dimensions"] - 1) % TEXT_DIMENSIONS + 1
    items = body["input"]
    if isinstance(items, list):
        body["input"] = [
            [i % VOCABULARY for i in item] if isinstance(item, list) else item % VOCABULARY if _number(item) else item
            for item in items
        ]


def _number(item: Any) -> bool:
    return isinstance(item, int | float)


def _fit_pictures(case: Case) -> None:
    if "model" in case.query:
        case.query["model"] = "image-embedding"
    if "dimensions" in case.query:
        case.query["dimensions"] = (case.query["dimensions"] - 1) % IMAGE_DIMENSIONS + 1
    if case.media_type == "multipart/form-data":
        case.body["file"] = [PICTURE for _ in case.body["file"]]


def test_a_described_picture_is_embedded(service: Service) -> None:
    """What the fitted requests rest on."""
    body = {"model": "image-embedding", "input": base64.b64encode(PICTURE).decode()}
    answer = requests.post(f"{service.url}/v1/embeddings", json=body, timeout=60)
    assert answer.status_code == 200
