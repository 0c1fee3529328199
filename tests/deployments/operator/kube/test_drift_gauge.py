"""What Prometheus is told of drift: by scrapes of the exporter, which has no more rights than the manifests give it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from deployments.cluster.ports import free_port
from deployments.operator import operations
from deployments.operator.kube.api import KubeApi
from deployments.operator.kube.drift_gauge import COMPARED, DRIFT, DriftGauge
from deployments.operator.kube.service import KubeService
from models.http_client import direct
from tests.deployments.operator.kube.conftest import Cluster
from tests.integration.waiting import wait
from tests.k8s.metrics import used
from tests.k8s.tools import built, only
from tests.servers.kubernetes import Fault

TEXT = "text-embedding"
CANARY = {"1.0.0": 90, "1.1.0": 10}


@pytest.fixture
def allowed(cluster: Cluster) -> Cluster:
    """The cluster, in which the exporter's role is all that its credentials allow."""
    cluster.api.rules = only(built("overlays/ha"), "Role")["rules"]
    return cluster


def gauge(cluster: Cluster) -> DriftGauge:
    return DriftGauge("embedserve", lambda: KubeService(KubeApi(), "embedserve", cluster.serve.url))


def samples(text: str) -> dict[str, float]:
    return {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}


def seen(looking: DriftGauge) -> float | None:
    looking.look()
    return samples(generate_latest(looking.registry).decode()).get(DRIFT)


def test_the_gauge_follows_what_serve_runs(allowed: Cluster) -> None:
    looking = gauge(allowed)
    assert seen(looking) == 0
    allowed.operator.pause()
    allowed.serve.deploy(operations.route(allowed.document, TEXT, CANARY, {}))
    assert seen(looking) == 1
    allowed.serve.deploy(allowed.document)
    assert seen(looking) == 0


def test_what_cannot_be_compared_is_not_called_well(allowed: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    looking = gauge(allowed)
    assert seen(looking) == 0
    allowed.operator.pause()
    allowed.api.faults.append(Fault("GET", "rayservices", 403))
    assert seen(looking) is None
    assert "drift: not known: Kubernetes refuses RayService embedserve" in capsys.readouterr().err
    assert seen(looking) == 0
    upgrading = {"type": "UpgradeInProgress", "status": "True", "reason": "BothActivePendingClustersExist"}
    allowed.api.update("rayservices", "embedserve", lambda r: r["status"].update(conditions=[upgrading]))
    assert seen(looking) is None
    assert "not compared: KubeRay upgrades it" in capsys.readouterr().err


def test_a_scrape_of_the_exporter_has_every_metric_of_its_alerts(allowed: Cluster) -> None:
    port = free_port()
    command = [str(Path(sys.executable).with_name("embedserve")), "watch-drift", "--rayservice", "embedserve"]
    options = ["--url", allowed.serve.url, "--host", "127.0.0.1", "--port", str(port), "--interval", "0.1"]
    process = subprocess.Popen([*command, *options], env=dict(os.environ), stderr=subprocess.PIPE, text=True)
    try:
        with direct(timeout=5) as client:
            found: dict[str, float] = {}

            def scraped() -> bool:
                assert process.poll() is None, process.communicate()[1]
                try:
                    found.update(samples(client.get(f"http://127.0.0.1:{port}/metrics").text))
                except httpx2.TransportError:  # nobody listens yet
                    return False
                return DRIFT in found

            wait("a comparison", scraped, 60)
        assert {name for name in used() if name.startswith("embedserve_")} == {DRIFT, COMPARED} <= found.keys()
        assert found[DRIFT] == 0
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, "TERM ends it, also where it is the first process of its container"
