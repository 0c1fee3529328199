"""Which provider computes is said truthfully, and production serves nothing on another than was asked for."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import onnxruntime as ort
import pytest
import yaml

from deployments.cluster.serve_api import ServeApi
from deployments.cluster.serve_file import ServeConfig
from models.catalog.catalog import ROOT
from models.engine.providers import CPU, CUDA
from tests.integration.service import Service
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.skipif(CUDA in ort.get_available_providers(), reason="this ONNX Runtime has CUDA to give")
FP32, INT8 = "text-embedding@1.0.0", "text-embedding@1.1.0"
SAYS = f"asks for {CUDA} and ONNX Runtime gave {CPU}"


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, ServeApi, dict[str, Any]]]:
    """The text model alone, in the production profile."""
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    document["applications"] = document["applications"][:2]
    for app in document["applications"]:
        app["args"]["profile"] = "production"
    gateway = document["applications"][0]["deployments"][0]["user_config"]
    gateway.update(models={"text-embedding": {"type": "text", "versions": {"1.0.0": 100}}}, aliases={}, auth="none")
    folder = tmp_path_factory.mktemp("provider")
    (folder / "config.yaml").write_text(yaml.safe_dump(document))
    service = Service(folder / "log", "--config", str(folder / "config.yaml"), "--profile", "production").wait()
    document["http_options"]["port"] = service.port
    dashboard = re.search(r"dashboard: (http://\S+)", service.log.read_text())
    assert dashboard
    yield service, ServeApi(dashboard[1]), document
    assert service.stop() == 0, service.log.read_text()


def entry(service: Service, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{service.url}/v1/models/{reference}", timeout=30, trust_env=False).json()
    return found


def test_models_and_metrics_name_the_provider_that_computes(
    production: tuple[Service, ServeApi, dict[str, Any]],
) -> None:
    service, _, _ = production
    assert entry(service, FP32)["provider"] == CPU

    def providers() -> dict[str, float]:
        text = httpx2.get(f"{service.url}/metrics", timeout=30, trust_env=False).text
        lines = [line for line in text.splitlines() if line.startswith("ray_embedserve_provider_info{")]
        names = [re.search(r'provider="(\w+)"', line) for line in lines]
        return {name[1]: float(line.rpartition(" ")[2]) for name, line in zip(names, lines, strict=True) if name}

    wait_for(lambda: providers().get(CPU) == 1 and providers().get(CUDA) == 0)


def test_a_swap_that_asks_for_cuda_and_gets_none_is_refused_and_the_old_artifact_serves(
    production: tuple[Service, ServeApi, dict[str, Any]],
) -> None:
    service, api, document = production
    before = entry(service, FP32)["hash"]
    changed = copy.deepcopy(document)
    changed["applications"][1]["deployments"][0]["user_config"] = {"artifact": INT8, "provider": "cuda"}
    api.deploy(ServeConfig(changed))
    wait_for(lambda: SAYS in (entry(service, FP32)["reason"] or ""))
    assert entry(service, FP32)["state"] == "ready"
    assert entry(service, FP32)["hash"] == before
    changed["applications"][1]["deployments"][0]["user_config"] = {"artifact": INT8, "provider": "auto"}
    api.deploy(ServeConfig(changed))
    wait_for(lambda: entry(service, FP32)["hash"] not in (before, None))


def test_a_replica_that_starts_without_the_cuda_it_asks_for_fails(
    production: tuple[Service, ServeApi, dict[str, Any]],
) -> None:
    """Last, because the application stays."""
    service, api, document = production
    changed = copy.deepcopy(document)
    second = copy.deepcopy(changed["applications"][1])
    second.update(name="text-embedding--1-1-0", args={"model": INT8, "profile": "production"})
    second["deployments"][0]["user_config"] = {"artifact": INT8, "provider": "cuda"}
    changed["applications"].append(second)
    changed["applications"][0]["deployments"][0]["user_config"]["models"]["text-embedding"]["versions"]["1.1.0"] = 0
    api.deploy(ServeConfig(changed))

    def message() -> str:
        app = api.details()["applications"].get("text-embedding--1-1-0") or {}
        return f"{app.get('status')} {app.get('message')} {app.get('deployments')}"

    wait_for(lambda: SAYS in message())
    assert entry(service, INT8)["state"] != "ready"
    assert entry(service, FP32)["state"] == "ready"
