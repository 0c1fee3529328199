"""Three nodes run what k8s/overlays/dev embeds: it scales, changes and loses replicas under load, and fails no request.

The tests are one story and run in order. Delays of the autoscaler are shortened; nothing else of the configuration is
changed before a test says so.
"""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import yaml

from deployments.config.names import application_name
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from models.modalities.text import TextEmbedder
from tests.integration import audit
from tests.integration.audit import foreign, open_ports, shown_to_others
from tests.integration.documents import drop_text_tower
from tests.integration.nodes import Nodes
from tests.integration.traffic import Call, References, Traffic
from tests.integration.waiting import wait
from tests.k8s.metrics import (
    ONLY_AFTER_A_REFERENCE,
    ONLY_WITH_GPU,
    ONLY_WITH_KUBERAY,
    ONLY_WITH_SHARED_CACHE,
    selected,
    used,
)
from tests.k8s.tools import serve_config

pytestmark = pytest.mark.timeout(900)
FP32, INT8, IMAGE = "text-embedding@1.0.0", "text-embedding@1.1.0", "image-embedding@1.0.0"
GATEWAY, TEXT, PICTURES = "gateway", *(application_name(*name.split("@")) for name in (FP32, IMAGE))
SLEEPER = application_name(*INT8.split("@"))
QUICK = {
    "metrics_interval_s": 1,
    "look_back_period_s": 5,
    "upscale_delay_s": 2,
    "downscale_delay_s": 5,
    "max_replicas": 2,
}
LISTS = [[f"list {i}, line {j}: " + "waterproof boots for wide feet " * 8 for j in range(16)] for i in range(24)]
SINGLES = [f"a single text, number {i}" for i in range(8)]


@dataclass
class Story:
    """The cluster, what is deployed on it, and clients of every node."""

    nodes: Nodes
    document: dict[str, Any]
    references: References
    sleeper: TextEmbedder
    jpeg: bytes

    def deployments(self) -> dict[str, dict[str, Any]]:
        return {app["name"]: app["deployments"][0] for app in self.document["applications"]}

    def post(self, body: dict[str, Any], **headers: str) -> httpx2.Response:
        url = f"http://{self.nodes.workers[0]}:8000/v1/embeddings"
        return httpx2.post(url, json=body, headers=headers, timeout=120, trust_env=False)

    def model(self, reference: str) -> dict[str, Any]:
        url = f"http://{self.nodes.workers[0]}:8000/v1/models/{reference}"
        entry: dict[str, Any] = httpx2.get(url, timeout=30, trust_env=False).json()
        return entry

    def replica_ids(self) -> dict[str, set[str]]:
        return {name: {r["replica_id"] for r in self.nodes.replicas(name)} for name in self.deployments()}

    def running(self) -> bool:
        """Whether every application runs as configured, without replicas that come or go."""
        apps = (self.nodes.details() or {"applications": {}})["applications"]
        deployments = [d for app in apps.values() for d in app["deployments"].values()]
        states = {r["state"] for d in deployments for r in d["replicas"]}
        return (
            set(apps) == set(self.deployments())
            and {app["status"] for app in apps.values()} == {"RUNNING"}
            and {d["status"] for d in deployments} == {"HEALTHY"}
            and states == {"RUNNING"}
        )

    def light(self) -> list[Call]:
        """Little work of both kinds."""
        url = "/v1/embeddings"
        calls = [Call(text, {"url": url, "json": {"model": "text-embedding", "input": text}}) for text in SINGLES]
        picture = {"url": "/v1/embeddings/image", "content": self.jpeg, "headers": {"content-type": "image/jpeg"}}
        return [*calls, Call("picture", picture)]

    def heavy(self) -> list[Call]:
        """More text than one replica embeds."""
        return [
            Call(texts[0], {"url": "/v1/embeddings", "json": {"model": "text-embedding", "input": texts}})
            for texts in LISTS
        ]

    def traffic(self, calls: list[Call], clients: int, pause: float = 0.1) -> Traffics:
        """Clients that rest between requests: without rest they would take the processors from the replicas that start."""
        urls = [f"http://{address}:8000" for address in self.nodes.workers]
        return Traffics([Traffic(url, calls, self.references, clients, pause) for url in urls])


@dataclass
class Traffics:
    """Clients of every node's entrance at once."""

    each: list[Traffic]

    def __enter__(self) -> Traffics:
        for one in self.each:
            one.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.each:
            one.__exit__()

    def require(self, answers: int) -> None:
        """Nothing failed, and every entrance answered so many requests."""
        failures = [failure for one in self.each for failure in one.failures]
        assert failures[:20] == [], f"{len(failures)} requests failed"
        assert min(len(one.answers) for one in self.each) >= answers


def known_vectors(jpeg: bytes) -> References:
    """What the artifacts answer to what the clients send."""
    text, image = (open_embedder(pull(Catalog.load().find(name), allow_synthetic=True)) for name in (FP32, IMAGE))
    texts = [*SINGLES, *(list_[0] for list_ in LISTS)]
    return {
        text.artifact.hash: dict(zip(texts, text.embed(texts), strict=True)),  # type: ignore[arg-type]
        image.artifact.hash: {"picture": image.embed([jpeg])[0]},  # type: ignore[list-item]
    }


def quick(document: dict[str, Any]) -> dict[str, Any]:
    """The same with an autoscaler that decides in seconds, spread over nodes, without a cache that would do the work.

    The version that sleeps is the tests' own.
    """
    changed = copy.deepcopy(document)
    drop_text_tower(changed)
    for app in changed["applications"]:
        app["deployments"][0]["autoscaling_config"].update(QUICK)
        app["deployments"][0]["max_replicas_per_node"] = 1
    changed["applications"][0]["deployments"][0]["user_config"]["cache"] = {"bytes": 0}
    return changed


@pytest.fixture(scope="module")
def story(jpeg: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    document = quick(serve_config("overlays/dev").document)
    path = tmp_path_factory.mktemp("cluster") / "serve_config.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    nodes = Nodes(workers=2, cpus=8)
    try:
        said = nodes.run("embedserve", "up", "--address", nodes.dashboard, "--config", str(path))
        assert "embedserve is ready on http://" in said
        sleeper = open_embedder(pull(Catalog.load().find(INT8), allow_synthetic=True))
        assert isinstance(sleeper, TextEmbedder)
        yield Story(nodes, document, known_vectors(jpeg), sleeper, jpeg)
    finally:
        nodes.close()


def test_replicas_come_with_the_load_on_other_nodes_and_go_with_it(story: Story) -> None:
    nodes = story.nodes
    assert {len(nodes.replicas(name)) for name in story.deployments()} == {1}
    assert nodes.head not in nodes.placement(GATEWAY) + nodes.placement(TEXT) + nodes.placement(PICTURES)
    with story.traffic(story.light(), clients=1) as light:
        with story.traffic(story.heavy(), clients=3, pause=0) as heavy:
            wait("more text encoders", lambda: len(nodes.replicas(TEXT)) == 2)
            wait("work on every node", lambda: encoding_nodes(nodes) == set(nodes.workers))
        wait("one text encoder again", lambda: len(nodes.replicas(TEXT)) == 1)
    heavy.require(answers=10)
    light.require(answers=30)


def encoding_nodes(nodes: Nodes) -> set[str]:
    """Where text was embedded, by the exporters' count of batches: not only where the one gateway is."""
    counted = nodes.samples().get("ray_embedserve_batch_items_count", [])
    return {labels["NodeAddress"] for labels, value in counted if labels["application"] == TEXT and value > 0}


def test_a_changed_configuration_of_everything_fails_no_request(story: Story) -> None:
    """Routing, limits and queues, threads, numbers of replicas, a new version that sleeps; in place."""
    before = story.replica_ids()
    changed = story.deployments()
    for deployment in changed.values():
        deployment["autoscaling_config"].update(min_replicas=2)
        deployment["health_check_period_s"] = 5
    changed[GATEWAY]["user_config"]["queue"] = {"call_cost": 512, "waiting_items": 2048}
    changed[TEXT]["user_config"].update(threads=1, batch_cost=1024)
    changed[PICTURES]["user_config"].update(threads=1, batch_cost=512)
    sleeper = copy.deepcopy(story.document["applications"][1])
    sleeper.update(name=SLEEPER, args={"model": INT8, "profile": "development"})
    sleeper["deployments"][0]["user_config"] = {"artifact": INT8}
    sleeper["deployments"][0]["autoscaling_config"].update(min_replicas=0, downscale_to_zero_delay_s=8)
    story.document["applications"].append(sleeper)
    routes = changed[GATEWAY]["user_config"]["models"]["text-embedding"]
    routes.update(versions={"1.0.0": 100, "1.1.0": 0}, scale_to_zero=["1.1.0"])
    with story.traffic(story.light(), clients=2) as light:
        story.nodes.deploy(story.document)
        wait("two of everything", lambda: counts(story) == {GATEWAY: 2, TEXT: 2, PICTURES: 2, SLEEPER: 0})
        wait("an end of the change", story.running)
        wait("the new route", lambda: story.model(INT8).get("state") == "asleep")
    light.require(answers=30)
    assert all(before[name] <= ids for name, ids in story.replica_ids().items() if name in before)
    for name in (TEXT, PICTURES, GATEWAY):
        assert set(story.nodes.placement(name)) == set(story.nodes.workers)


def counts(story: Story) -> dict[str, int]:
    return {name: len(story.nodes.replicas(name)) for name in story.deployments()}


@pytest.mark.parametrize("time", ["first", "next"])
def test_a_version_scaled_to_zero_wakes_for_a_request_and_sleeps_again(story: Story, time: str) -> None:
    assert counts(story)[SLEEPER] == 0
    text = f"the {time} request"
    answer = story.post({"model": INT8, "input": text})
    assert answer.status_code == 200, answer.text
    expected = story.sleeper.embed([text])[0]
    np.testing.assert_array_equal(np.array(answer.json()["data"][0]["embedding"], np.float32), expected)
    wait("the version to sleep", lambda: counts(story)[SLEEPER] == 0)
    wait("gateways that know", lambda: story.model(INT8)["state"] == "asleep")
    assert ready(story.nodes)


def test_another_user_of_the_machines_reaches_no_file_and_no_socket(story: Story) -> None:
    """After `ray start` as docs/operations.md has it."""
    machines = range(len(story.nodes.machines.addresses))
    processes = {pid for number in machines for pid in story.nodes.machines.processes(number)}
    assert {audit.name(pid) for pid in processes} >= {"gcs_server", "raylet", "haproxy"}
    shown = shown_to_others(processes)
    assert {
        path for path in shown if not path.endswith(".log") or "/v/" in path
    } == set()  # the logs beside are the test's own


def test_only_rays_own_ports_haproxys_and_the_replicas_listen_on_the_machines_addresses(story: Story) -> None:
    machines = range(len(story.nodes.machines.addresses))
    ports = open_ports({pid for number in machines for pid in story.nodes.machines.processes(number)})
    assert set(foreign(ports).values()) <= {"haproxy"}
    assert 8000 in ports


def ready(nodes: Nodes) -> bool:
    urls = [f"http://{address}:8000/health/ready" for address in nodes.workers]
    return {httpx2.get(url, timeout=30, trust_env=False).status_code for url in urls} == {200}


def test_new_code_replaces_every_replica_and_fails_no_request(story: Story) -> None:
    before = story.replica_ids()
    for app in story.document["applications"]:
        app["runtime_env"] = {"env_vars": {"RELEASE": "2"}}  # counts as other code: nothing of the old may stay
    with story.traffic(story.light(), clients=2) as light:
        story.nodes.deploy(story.document)
        wait("new replicas", lambda: replaced(before, story.replica_ids()), timeout_s=240)
        wait("an end of the change", story.running)
    light.require(answers=30)


def replaced(before: dict[str, set[str]], now: dict[str, set[str]]) -> bool:
    return all(len(now[name]) == len(old) and not now[name] & old for name, old in before.items())


def test_a_killed_encoder_is_replaced_and_fails_no_request(story: Story) -> None:
    victim, *_ = story.nodes.replicas(TEXT)
    with story.traffic(story.light(), clients=2) as light:
        os.kill(victim["pid"], signal.SIGKILL)
        wait("a successor", lambda: not {victim["replica_id"]} & story.replica_ids()[TEXT] and counts(story)[TEXT] == 2)
        wait("an end of the change", story.running)
    light.require(answers=10)


def test_every_metric_of_alerts_and_dashboards_is_exported(story: Story, tmp_path: Path) -> None:
    """After what the tests before did: a replica that died, swaps, an overload; and a shadow, which begins here."""
    story.deployments()[GATEWAY]["user_config"]["models"]["text-embedding"]["shadow"] = {"1.1.0": 100}
    story.nodes.deploy(story.document)
    hurried = story.post({"model": FP32, "input": LISTS[0]}, **{"x-request-timeout-seconds": "0.001"})
    assert hurried.status_code == 504
    wanted = used() - ONLY_WITH_GPU - ONLY_WITH_KUBERAY - ONLY_WITH_SHARED_CACHE - ONLY_AFTER_A_REFERENCE
    old = {
        "ray_embedserve_request_latency_ms_bucket",
        "ray_embedserve_stage_latency_ms_count",
        "ray_embedserve_api_keys_age_s",
    }
    assert len(wanted) > 10

    def missing() -> set[str]:
        assert story.post({"model": "text-embedding", "input": SINGLES[0]}).status_code == 200
        found = story.nodes.samples()
        labels = {name: set().union(*(labels for labels, _ in rows)) for name, rows in found.items()}
        chosen = {
            f"{name}{{{label}}}"
            for name, asked in selected().items()
            if name in wanted
            for label in asked - labels.get(name, set())
        }
        return ((wanted | old) - set(found)) | chosen

    wait(lambda: f"exported by no node: {sorted(missing())}", lambda: not missing())
    bounds = {labels["le"] for labels, _ in story.nodes.samples()["ray_embedserve_request_duration_seconds_bucket"]}
    assert {"0.5", "2.5"} <= bounds, "the objectives' bounds are buckets"
