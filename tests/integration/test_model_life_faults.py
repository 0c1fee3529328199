"""Processes killed in the middle of a swap: the system ends in the state that was asked for."""

from __future__ import annotations

import copy
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
import yaml

from deployments.cluster.serve_api import ServeApi
from deployments.cluster.serve_file import ServeConfig
from models.catalog.catalog import ROOT, Catalog
from models.catalog.store import pull
from models.embedder import TextEmbedder, open_embedder
from tests.integration.service import Service, children

FP32, INT8 = "text-embedding@1.0.0", "text-embedding@1.1.0"
WAIT_S = 120


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, ServeApi, dict[str, Any]]]:
    """A service of the text model alone, without a cache, and a shadow on its second version."""
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    second = copy.deepcopy(document["applications"][1])
    second.update(name="text-embedding--1-1-0", args={"model": INT8, "profile": "development"})
    second["deployments"][0]["user_config"] = {"artifact": INT8}
    document["applications"] = [*document["applications"][:2], second]
    gateway = document["applications"][0]["deployments"][0]["user_config"]
    routes = {"type": "text", "versions": {"1.0.0": 100, "1.1.0": 0}, "shadow": {"1.1.0": 100}}
    routes["overrides"] = [{"header": "x-experiment", "value": "b", "version": "1.1.0"}]
    gateway.update(models={"text-embedding": routes}, aliases={}, cache={"bytes": 0})
    folder = tmp_path_factory.mktemp("faults")
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    service = Service(folder / "log", "--config", str(folder / "config.yaml")).wait()
    document["http_options"]["port"] = service.port
    dashboard = re.search(r"dashboard: (http://\S+)", service.log.read_text())
    assert dashboard
    yield service, ServeApi(dashboard[1]), document
    assert service.stop() == 0, service.log.read_text()


def kill(service: Service, title: str) -> None:
    victims = [pid for pid, name in children(service).items() if name.startswith(title)]
    assert victims, f"no process {title}"
    for pid in victims:
        os.kill(pid, signal.SIGKILL)


def wait(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def served_hash(url: str, **headers: str) -> str | None:
    """The hash of an answer to a request made now, or nothing while there is none."""
    return answered(url, "x-model-hash", headers)


def served_by(url: str, **headers: str) -> str | None:
    """The version that answers a request made now, or nothing while none does."""
    return answered(url, "x-model", headers)


def answered(url: str, wanted: str, headers: dict[str, str]) -> str | None:
    """One header of an answer."""
    body = {"model": "text-embedding", "input": "hello world"}
    try:
        answer = httpx2.post(f"{url}/v1/embeddings", json=body, headers=headers, timeout=30, trust_env=False)
    except httpx2.HTTPError:
        return None
    return answer.headers[wanted] if answer.status_code == 200 else None


@pytest.mark.parametrize(
    ("victim", "target"),
    [
        ("ray::ServeReplica:text-embedding--1-0-0", INT8),
        ("ray::ServeController", FP32),
        ("ray::ServeReplica:gateway", INT8),
    ],
    ids=["an encoder replica", "the Serve controller", "the gateway"],
)
def test_a_kill_in_the_middle_of_a_swap_ends_in_the_asked_for_state(
    lone: tuple[Service, ServeApi, dict[str, Any]], victim: str, target: str
) -> None:
    service, api, document = lone
    wanted = pull(Catalog.load().find(target), allow_synthetic=True).hash
    document["applications"][1]["deployments"][0]["user_config"] = {"artifact": target}
    api.deploy(ServeConfig(document))
    kill(service, victim)
    wait(f"{target} is not served after the kill", lambda: served_hash(service.url) == wanted)
    wait("not ready again", lambda: httpx2.get(f"{service.url}/health/ready", trust_env=False).status_code == 200)


def test_a_key_stays_with_its_version_when_the_gateway_is_replaced(
    lone: tuple[Service, ServeApi, dict[str, Any]],
) -> None:
    service, api, document = lone
    routes = document["applications"][0]["deployments"][0]["user_config"]["models"]["text-embedding"]
    routes["versions"] = {"1.0.0": 50, "1.1.0": 50}
    api.deploy(ServeConfig(document))
    keys = [f"customer-{i}" for i in range(40)]

    def versions() -> list[str | None]:
        return [served_by(service.url, **{"x-routing-key": key}) for key in keys]

    wait("both versions in use", lambda: set(versions()) == {FP32, INT8})
    before = versions()
    kill(service, "ray::ServeReplica:gateway")
    wait("every key is answered again", lambda: None not in versions())
    assert versions() == before
    routes["versions"] = {"1.0.0": 100, "1.1.0": 0}
    api.deploy(ServeConfig(document))
    wait("all traffic back", lambda: set(versions()) == {FP32})


def test_an_override_by_header_reaches_its_version(lone: tuple[Service, ServeApi, dict[str, Any]]) -> None:
    service, _, _ = lone
    wanted = pull(Catalog.load().find(INT8), allow_synthetic=True).hash
    assert served_hash(service.url, **{"x-experiment": "b"}) == wanted


def test_shadow_traffic_is_compared_and_never_answered_from(
    lone: tuple[Service, ServeApi, dict[str, Any]],
) -> None:
    """The histogram of cosines holds what the two versions' vectors really make with each other."""
    service, api, document = lone
    document["applications"][1]["deployments"][0]["user_config"] = {"artifact": FP32}
    api.deploy(ServeConfig(document))
    fp32 = pull(Catalog.load().find(FP32), allow_synthetic=True)
    wait("the way back to fp32", lambda: served_hash(service.url) == fp32.hash)
    pair = [open_embedder(a) for a in (fp32, pull(Catalog.load().find(INT8), allow_synthetic=True))]
    assert all(isinstance(embedder, TextEmbedder) for embedder in pair)
    first, second = (embedder.embed(["hello world"])[0] for embedder in pair)  # type: ignore[list-item]
    expected = float(np.dot(first, second))

    assert 0.99 < expected < 0.9999

    def counted(limit: str) -> float:
        text = httpx2.get(f"{service.url}/metrics", timeout=30, trust_env=False).text
        return sum(_samples(text, "ray_embedserve_shadow_cosine_bucket", f'le="{limit}"'))

    def asked_and_counted() -> bool:
        assert served_hash(service.url) == fp32.hash
        return counted("0.9999") >= 5  # fp32 against int8; int8 against itself lies above

    wait("shadow cosines in the metrics", asked_and_counted)
    assert counted("0.99") == 0


def _samples(text: str, name: str, label: str) -> list[float]:
    lines = (line for line in text.splitlines() if line.startswith(name + "{") and label in line)
    return [float(line.rpartition(" ")[2]) for line in lines]


def test_an_application_that_cannot_be_built_is_one_failed_version_and_no_more(
    lone: tuple[Service, ServeApi, dict[str, Any]],
) -> None:
    """Last, because the application stays."""
    service, api, document = lone
    broken = copy.deepcopy(document["applications"][2])
    broken.update(name="text-embedding--1-2-0", import_path="deployments.apps.builders:nothing_of_this_name")
    document["applications"].append(broken)
    routes = document["applications"][0]["deployments"][0]["user_config"]["models"]["text-embedding"]
    routes["versions"]["1.2.0"] = 0
    api.deploy(ServeConfig(document))

    def entry(reference: str) -> dict[str, Any]:
        url = f"{service.url}/v1/models/{reference}"
        found: dict[str, Any] = httpx2.get(url, timeout=30, trust_env=False).json()
        return found

    wait("a failed version", lambda: entry("text-embedding@1.2.0").get("state") == "failed")
    assert "is not deployed" in entry("text-embedding@1.2.0")["reason"]
    assert entry(FP32)["state"] == "ready"
    assert served_by(service.url) == FP32
