"""The real service and a real cache server; gateways keep nothing in memory, so that every hit is the server's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from tests.integration.connected.conftest import Connected
from tests.integration.waiting import wait
from tests.servers.redis_server import RedisServer

SHARED = {"url_env": "EMBEDSERVE_CACHE_URL", "timeout_ms": 1000}  # a busy test machine is no slow server


@dataclass
class Running:
    """The service, its cache server, and an operator."""

    connected: Connected
    server: RedisServer
    client: httpx2.Client

    def embed(self, *texts: str) -> tuple[str, list[Any]]:
        answer = self.client.post("/v1/embeddings", json={"model": "text-embedding", "input": list(texts)})
        assert answer.status_code == 200, answer.text
        return answer.headers["x-cache"], [row["embedding"] for row in answer.json()["data"]]

    def state(self, text: str) -> str:
        return self.embed(text)[0]

    def metric(self, name: str, **labels: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        rows = [line for line in lines if line.startswith(f"ray_{name}{{") and all(want in line for want in wanted)]
        return sum(float(row.rpartition(" ")[2]) for row in rows)


@pytest.fixture(scope="module")
def running(connected: Connected) -> Iterator[Running]:
    connected.cache.start()
    connected.configure(cache={"bytes": 0, "shared": SHARED})
    with connected.running.client() as client:
        yield Running(connected, connected.cache, client)


def test_the_server_answers_what_was_computed_before_with_the_same_bits(running: Running) -> None:
    labels = {"model": "text-embedding", "result": "hit"}
    before = running.metric("embedserve_cache_lookups_total", **labels)
    texts = [f"text {i}" for i in range(300)]
    state, vectors = running.embed(*texts)
    assert state == "miss"
    wait("every vector is written", lambda: running.server.client.dbsize() >= len(texts))
    assert running.embed(*texts) == ("hit", vectors)
    assert running.embed(texts[7], "new text")[0] == "partial"
    wait("hits are exported", lambda: running.metric("embedserve_shared_cache_lookups_total", **labels) == 301)
    assert running.metric("embedserve_cache_lookups_total", **labels) - before == 301
    assert running.metric("embedserve_shared_cache_up", operation="read") == 1


@pytest.mark.parametrize("trouble", ["stop", "pause", "fill"], ids=["down", "silent", "full"])
def test_the_service_answers_while_the_server_is(running: Running, trouble: str) -> None:
    wait("the server answers", lambda: running.state("kept") == "hit")
    getattr(running.server, trouble)()
    for i in range(30):
        assert running.state(f"{trouble} {i}") == "miss"
    getattr(running.server, {"stop": "start", "pause": "resume", "fill": "free"}[trouble])()
    wait("the server is used again", lambda: running.state(f"after {trouble}") == "hit")


def test_the_metrics_say_that_the_server_is_left_alone(running: Running) -> None:
    wait("the server answers", lambda: running.state("kept") == "hit")
    wait("it is in use", lambda: running.metric("embedserve_shared_cache_up", operation="read") == 1)
    running.server.stop()
    for i in range(10):
        running.state(f"gone {i}")
    wait("it is left alone", lambda: running.metric("embedserve_shared_cache_up", operation="read") == 0)
    labels = {"model": "text-embedding", "result": "skipped"}
    assert running.metric("embedserve_shared_cache_lookups_total", **labels) > 0
    assert running.metric("embedserve_shared_cache_writes_total", result="dropped") > 0
    running.server.start()


def test_the_shared_level_goes_and_comes_while_the_service_runs(running: Running) -> None:
    wait("the server answers", lambda: running.state("kept") == "hit")
    running.connected.configure(cache={"bytes": 0})
    wait("it is gone", lambda: running.state("kept") == "miss")
    running.connected.configure(cache={"bytes": 0, "shared": SHARED})
    wait("it is back", lambda: running.state("kept") == "hit")
