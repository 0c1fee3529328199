"""The real service and a real cache server; gateways keep nothing in memory, so that every hit is the server's."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
import yaml

from deployments.cluster.serve_api import ServeApi
from deployments.cluster.serve_file import ServeConfig
from models.catalog.catalog import ROOT
from tests.integration.service import Service
from tests.redis_server import RedisServer, redis_server

WAIT_S = 120
SHARED = {"url_env": "EMBEDSERVE_CACHE_URL", "timeout_ms": 1000}  # a busy test machine is no slow server


class Running:
    """The service, its cache server, and an operator."""

    def __init__(self, service: Service, server: RedisServer, document: dict[str, Any]) -> None:
        self.service, self.server, self.document = service, server, document
        self.client = httpx2.Client(base_url=service.url, timeout=60, trust_env=False)

    def embed(self, *texts: str) -> tuple[str, list[Any]]:
        answer = self.client.post("/v1/embeddings", json={"model": "text-embedding", "input": list(texts)})
        assert answer.status_code == 200, answer.text
        return answer.headers["x-cache"], [row["embedding"] for row in answer.json()["data"]]

    def state(self, text: str) -> str:
        return self.embed(text)[0]

    def configure(self, cache: dict[str, Any]) -> None:
        self.document["applications"][0]["deployments"][0]["user_config"]["cache"] = cache
        dashboard = re.search(r"dashboard: (http://\S+)", self.service.log.read_text())
        assert dashboard
        ServeApi(dashboard[1]).deploy(ServeConfig(copy.deepcopy(self.document)))

    def metric(self, name: str, **labels: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        rows = [line for line in lines if line.startswith(f"ray_{name}{{") and all(want in line for want in wanted)]
        return sum(float(row.rpartition(" ")[2]) for row in rows)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    document["applications"] = document["applications"][:2]
    routes = {"type": "text", "versions": {"1.0.0": 100}}
    gateway = document["applications"][0]["deployments"][0]["user_config"]
    gateway.update(models={"text-embedding": routes}, aliases={}, cache={"bytes": 0, "shared": SHARED})
    folder = tmp_path_factory.mktemp("shared")
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    with redis_server() as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("EMBEDSERVE_CACHE_URL", server.url)
        service = Service(folder / "log", "--config", str(folder / "config.yaml")).wait()
        document["http_options"]["port"] = service.port
        yield Running(service, server, document)
        assert service.stop() == 0, service.log.read_text()


def until(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_the_server_answers_what_was_computed_before_with_the_same_bits(running: Running) -> None:
    texts = [f"text {i}" for i in range(300)]
    state, vectors = running.embed(*texts)
    assert state == "miss"
    until("every vector is written", lambda: running.server.client.dbsize() >= len(texts))
    assert running.embed(*texts) == ("hit", vectors)
    assert running.embed(texts[7], "new text")[0] == "partial"
    labels = {"model": "text-embedding", "result": "hit"}
    until("hits are exported", lambda: running.metric("embedserve_shared_cache_lookups_total", **labels) == 301)
    assert running.metric("embedserve_cache_lookups_total", **labels) == 301
    assert running.metric("embedserve_shared_cache_up", operation="read") == 1


@pytest.mark.parametrize("trouble", ["stop", "pause", "fill"], ids=["down", "silent", "full"])
def test_the_service_answers_while_the_server_is(running: Running, trouble: str) -> None:
    until("the server answers", lambda: running.state("kept") == "hit")
    getattr(running.server, trouble)()
    for i in range(30):
        assert running.state(f"{trouble} {i}") == "miss"
    getattr(running.server, {"stop": "start", "pause": "resume", "fill": "free"}[trouble])()
    until("the server is used again", lambda: running.state(f"after {trouble}") == "hit")


def test_the_metrics_say_that_the_server_is_left_alone(running: Running) -> None:
    until("the server answers", lambda: running.state("kept") == "hit")
    until("it is in use", lambda: running.metric("embedserve_shared_cache_up", operation="read") == 1)
    running.server.stop()
    for i in range(10):
        running.state(f"gone {i}")
    until("it is left alone", lambda: running.metric("embedserve_shared_cache_up", operation="read") == 0)
    labels = {"model": "text-embedding", "result": "skipped"}
    assert running.metric("embedserve_shared_cache_lookups_total", **labels) > 0
    assert running.metric("embedserve_shared_cache_writes_total", result="dropped") > 0
    running.server.start()


def test_the_shared_level_goes_and_comes_while_the_service_runs(running: Running) -> None:
    until("the server answers", lambda: running.state("kept") == "hit")
    running.configure({"bytes": 0})
    until("it is gone", lambda: running.state("kept") == "miss")
    running.configure({"bytes": 0, "shared": SHARED})
    until("it is back", lambda: running.state("kept") == "hit")
