"""Nodes that are lost under load: a worker with half the replicas, and the head, whose memory is in Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from deployments.config.names import application_name
from tests.faults.fleet import MODEL, TEXTS, known_vectors, text_only
from tests.integration.nodes import Nodes
from tests.integration.traffic import Call, References, Traffic
from tests.integration.waiting import wait
from tests.k8s.tools import serve_config
from tests.servers.redis_server import RedisServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
GATEWAY, ENCODER = "gateway", application_name(*MODEL.split("@"))
CLIENTS = 8
# Clients that never rest take two cores whole, and Ray gives up a head that does not answer within 30 s of its start.
PAUSE_S = 0.05


@dataclass
class Cluster:
    """Two workers, each with a gateway and an encoder, and a head that can be lost."""

    nodes: Nodes
    references: References
    document: dict[str, Any]

    def traffic(self, worker: int) -> Traffic:
        calls = [Call(t, {"url": "/v1/embeddings", "json": {"model": "text-embedding", "input": t}}) for t in TEXTS]
        url = f"http://{self.nodes.workers[worker]}:8000"
        return Traffic(url, calls, self.references, CLIENTS, pause=PAUSE_S)

    def full(self) -> bool:
        """Whether both workers have a replica of each kind."""
        wanted = dict.fromkeys(self.nodes.workers, 1)
        return all(dict(self.nodes.placement(name)) == wanted for name in (GATEWAY, ENCODER))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    document = serve_config("overlays/dev").document
    text_only(document)
    for app in document["applications"]:
        app["deployments"][0]["max_replicas_per_node"] = 1
    path: Path = tmp_path_factory.mktemp("nodes") / "serve_config.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    redis = RedisServer()
    nodes = None
    try:
        nodes = Nodes(workers=2, cpus=4, redis=redis)
        nodes.run("embedserve", "up", "--address", nodes.dashboard, "--config", str(path))
        running = Cluster(nodes, known_vectors(), document)
        wait("a replica of each kind on both workers", running.full)
        yield running
    finally:
        if nodes is not None:
            nodes.close()
        redis.remove()


def report(what: str, traffic: Traffic, lost: float) -> None:
    last = max((at - lost for at in traffic.failed_at), default=0.0)
    slowest = max(seconds for _, seconds, _, _ in traffic.since(lost - 1))
    print(
        f"\n{what}: {len(traffic.answers)} answered, {len(traffic.failures)} failed, the last of them {last:.1f} s "
        f"after; the slowest answer took {slowest:.1f} s; {sorted({f[-120:] for f in traffic.failures})[:4]}"
    )


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=30, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


def test_a_lost_worker_takes_nothing_but_capacity_and_brings_it_back(cluster: Cluster) -> None:
    with cluster.traffic(worker=0) as traffic:
        traffic.wait_for(50)
        lost = time.monotonic()
        cluster.nodes.lose(2)
        traffic.wait_for(200)
        wait("Serve to notice", lambda: set(cluster.nodes.placement(ENCODER)) == {cluster.nodes.workers[0]})
        noticed = time.monotonic()
        traffic.wait_for(50)
        cluster.nodes.join(2)
        wait("full capacity", cluster.full)
        back = time.monotonic()
        traffic.wait_for(50)
    report(f"worker lost; noticed after {noticed - lost:.1f} s, full again after {back - lost:.1f} s", traffic, lost)
    assert [at for at in traffic.failed_at if at > noticed] == []
    assert len(traffic.failures) <= CLIENTS
    url = f"http://{cluster.nodes.workers[1]}:8000/health/ready"
    wait("the returned node's entrance", lambda: answers(url))
    with cluster.traffic(worker=1) as returned:
        returned.wait_for(50)
    assert returned.failures == []


def test_a_lost_head_stops_no_request_and_comes_back_with_what_it_knew(cluster: Cluster) -> None:
    before = running(cluster)
    with cluster.traffic(worker=0) as traffic:
        traffic.wait_for(50)
        lost = time.monotonic()
        cluster.nodes.lose(0)
        traffic.wait_for(200)
        cluster.nodes.join(0)
        wait("what was deployed", lambda: running(cluster) == before)
        back = time.monotonic()
        traffic.wait_for(50)
        cluster.document["applications"][1]["deployments"][0]["autoscaling_config"].update(
            min_replicas=1, max_replicas=1
        )
        cluster.nodes.deploy(cluster.document)
        wait("a change that is carried out", lambda: len(cluster.nodes.replicas(ENCODER)) == 1)
        traffic.wait_for(50)
    report(f"head lost; everything known again after {back - lost:.1f} s", traffic, lost)
    assert len(traffic.failures) <= CLIENTS
    assert [at for at in traffic.failed_at if at > back] == []


def running(cluster: Cluster) -> dict[str, set[str]]:
    """The replicas that serve, by application."""
    return {name: {r["replica_id"] for r in cluster.nodes.replicas(name)} for name in (GATEWAY, ENCODER)}
