"""Processes killed in the middle of a swap: the system ends in the state that was asked for."""

from __future__ import annotations

import copy
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2
import numpy as np
import pytest

from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from models.modalities.text import TextEmbedder
from tests.integration.documents import Document, application, drop_text_tower, shipped, user_config
from tests.integration.service import Service, children
from tests.integration.waiting import wait

FP32, INT8 = "text-embedding@1.0.0", "text-embedding@1.1.0"
FIRST, SECOND = "text-embedding--1-0-0", "text-embedding--1-1-0"  # their applications

CLIENT = httpx2.Client(timeout=30, trust_env=False)  # to make one takes longer than a request


@dataclass
class Lone:
    """A service with two versions of the text model, and what it is configured with."""

    service: Service
    document: Document

    def deploy(self) -> None:
        self.service.deploy(self.document)

    def routes(self) -> dict[str, Any]:
        """The versions of the text model and what goes where."""
        routes: dict[str, Any] = user_config(self.document)["models"]["text-embedding"]
        return routes


@pytest.fixture(scope="module")
def lone(changing: Service) -> Lone:
    """Without a cache, and with a shadow on the second version."""
    document = shipped()
    drop_text_tower(document)
    second = copy.deepcopy(application(document, FIRST))
    second.update(name=SECOND, args={"model": INT8, "profile": "development"})
    second["deployments"][0]["user_config"] = {"artifact": INT8}
    second["import_path"] = "tests.integration.changing.refusing:text_encoder"
    document["applications"].append(second)
    user_config(document)["cache"] = {"bytes": 0}
    running = Lone(changing, document)
    running.routes().update(versions={"1.0.0": 100, "1.1.0": 0}, shadow={"1.1.0": 100})
    running.routes()["overrides"] = [{"header": "x-experiment", "value": "b", "version": "1.1.0"}]
    changing.run(document)
    return running


def kill(service: Service, title: str) -> None:
    victims = [pid for pid, name in children(service).items() if name.startswith(title)]
    assert victims, f"no process {title}"
    for pid in victims:
        os.kill(pid, signal.SIGKILL)


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
        answer = CLIENT.post(f"{url}/v1/embeddings", json=body, headers=headers)
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
def test_a_kill_in_the_middle_of_a_swap_ends_in_the_asked_for_state(lone: Lone, victim: str, target: str) -> None:
    wanted = pull(Catalog.load().find(target), allow_synthetic=True).hash
    application(lone.document, FIRST)["deployments"][0]["user_config"] = {"artifact": target}
    lone.deploy()
    kill(lone.service, victim)
    wait(f"{target} is not served after the kill", lambda: served_hash(lone.service.url) == wanted)
    wait("not ready again", lambda: httpx2.get(f"{lone.service.url}/health/ready", trust_env=False).status_code == 200)


def test_a_key_stays_with_its_version_when_the_gateway_is_replaced(
    lone: Lone,
) -> None:
    lone.routes()["versions"] = {"1.0.0": 50, "1.1.0": 50}
    lone.deploy()
    keys = [f"customer-{i}" for i in range(40)]

    def versions() -> list[str | None]:
        return [served_by(lone.service.url, **{"x-routing-key": key}) for key in keys]

    wait("both versions in use", lambda: set(versions()) == {FP32, INT8})
    before = versions()
    kill(lone.service, "ray::ServeReplica:gateway")
    wait("every key is answered again", lambda: None not in versions())
    assert versions() == before
    lone.routes()["versions"] = {"1.0.0": 100, "1.1.0": 0}
    lone.deploy()
    wait("all traffic back", lambda: set(versions()) == {FP32})


def test_an_override_by_header_reaches_its_version(lone: Lone) -> None:
    wanted = pull(Catalog.load().find(INT8), allow_synthetic=True).hash
    assert served_hash(lone.service.url, **{"x-experiment": "b"}) == wanted


def test_shadow_traffic_is_compared_and_never_answered_from(
    lone: Lone,
) -> None:
    """The histogram of cosines holds what the two versions' vectors really make with each other."""
    application(lone.document, FIRST)["deployments"][0]["user_config"] = {"artifact": FP32}
    lone.deploy()
    fp32 = pull(Catalog.load().find(FP32), allow_synthetic=True)
    wait("the way back to fp32", lambda: served_hash(lone.service.url) == fp32.hash)
    pair = [open_embedder(a) for a in (fp32, pull(Catalog.load().find(INT8), allow_synthetic=True))]
    assert all(isinstance(embedder, TextEmbedder) for embedder in pair)
    first, second = (embedder.embed(["hello world"])[0] for embedder in pair)  # type: ignore[list-item]
    expected = float(np.dot(first, second))

    assert 0.99 < expected < 0.9999

    def counted(limit: str) -> float:
        text = httpx2.get(f"{lone.service.url}/metrics", timeout=30, trust_env=False).text
        return sum(_samples(text, "ray_embedserve_shadow_cosine_bucket", f'le="{limit}"'))

    def asked_and_counted() -> bool:
        assert served_hash(lone.service.url) == fp32.hash
        return counted("0.9999") >= 5  # fp32 against int8; int8 against itself lies above

    wait("shadow cosines in the metrics", asked_and_counted)
    assert counted("0.99") == 0


def _samples(text: str, name: str, label: str) -> list[float]:
    lines = (line for line in text.splitlines() if line.startswith(name + "{") and label in line)
    return [float(line.rpartition(" ")[2]) for line in lines]


def test_lists_of_several_calls_are_answered_while_the_replicas_of_a_version_hold_different_artifacts(
    lone: Lone,
) -> None:
    """One of two refused the swap. A call names its artifact, and a replica that has another refuses it."""
    encoder = application(lone.document, SECOND)["deployments"][0]
    encoder["autoscaling_config"].update(min_replicas=2, max_replicas=2)
    user_config(lone.document)["queue"] = {"call_cost": 16}  # about a text of 12 tokens
    lone.deploy()
    title = f"ray::ServeReplica:{SECOND}"
    wait("two replicas", lambda: sum(name.startswith(title) for name in children(lone.service).values()) == 2)
    lone.service.run(lone.document)
    encoder["user_config"] = {"artifact": FP32}
    lone.deploy()

    def refused() -> bool:
        found = httpx2.get(f"{lone.service.url}/v1/models/{INT8}", timeout=30, trust_env=False).json()
        return bool(found.get("reason_code") == "swap_refused")

    before = pull(Catalog.load().find(INT8), allow_synthetic=True).hash
    wait("one that refused", refused)
    wait("one that did not", lambda: embedded(lone.service.url, -1).headers["x-model-hash"] != before, 30)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(partial(embedded, lone.service.url), range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert before not in {answer.headers["x-model-hash"] for answer in answers}
    assert refused()


def embedded(url: str, number: int) -> httpx2.Response:
    """The answer to a list of six texts that nobody sent before."""
    texts = [
        f"{word} of list {number} comes in a call of its own" for word in ("one", "two", "four", "six", "ten", "me")
    ]
    return httpx2.post(f"{url}/v1/embeddings", json={"model": INT8, "input": texts}, timeout=60, trust_env=False)


def test_an_application_that_cannot_be_built_is_one_failed_version_and_no_more(
    lone: Lone,
) -> None:
    """Last, because the application stays."""
    broken = copy.deepcopy(application(lone.document, SECOND))
    broken.update(name="text-embedding--1-2-0", import_path="deployments.apps.builders:nothing_of_this_name")
    lone.document["applications"].append(broken)
    lone.routes()["versions"]["1.2.0"] = 0
    lone.deploy()

    def entry(reference: str) -> dict[str, Any]:
        url = f"{lone.service.url}/v1/models/{reference}"
        found: dict[str, Any] = httpx2.get(url, timeout=30, trust_env=False).json()
        return found

    wait("a failed version", lambda: entry("text-embedding@1.2.0").get("state") == "failed")
    assert "is not deployed" in entry("text-embedding@1.2.0")["reason"]
    assert entry(FP32)["state"] == "ready"
    assert served_by(lone.service.url) == FP32
