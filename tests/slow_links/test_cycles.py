"""What a request leaves in memory goes at once: what waits for the collector of cycles costs a tenth of the gateway's time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.slow_links.gateway import LARGE, SMALL, Gateway, running

EMBEDDINGS = "/v1/embeddings"
TENSOR = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [SMALL]}
REQUESTS: dict[str, tuple[int, str, Any]] = {
    "an answer": (200, EMBEDDINGS, {"model": "m", "input": SMALL}),
    "a long answer": (200, EMBEDDINGS, {"model": "m", "input": [LARGE] * 100}),
    "the Open Inference Protocol": (200, "/v2/models/m/infer", {"inputs": [TENSOR]}),
    "text-embeddings-inference": (200, "/embed", {"inputs": SMALL}),
    "Ollama": (200, "/api/embed", {"model": "m", "input": SMALL}),
    "a body of 200 KB": (200, EMBEDDINGS, {"model": "m", "input": SMALL, "user": "x" * 200_000}),
    "an unknown model": (404, EMBEDDINGS, {"model": "nobody", "input": SMALL}),
    "a wrong field": (400, EMBEDDINGS, {"model": "m", "input": SMALL, "dimensions": "many"}),
    "no such route": (404, "/nowhere", {}),
}
MANY = 100


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("gateway")) as process:
        yield process


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_leave_no_cycles(gateway: Gateway, name: str) -> None:
    status, path, body = REQUESTS[name]
    with httpx2.Client(base_url=f"http://127.0.0.1:{gateway.port}", timeout=30, trust_env=False) as client:
        statuses = {client.post(path, json=body).status_code}
        gateway.counts()
        statuses |= {client.post(path, json=body).status_code for _ in range(MANY)}
    assert statuses == {status}
    assert gateway.counts()["unreachable"] < MANY / 2
