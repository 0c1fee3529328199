"""Which provider computes is said truthfully, and production serves nothing on another than was asked for."""

from __future__ import annotations

import copy
import re
from typing import Any

import onnxruntime as ort
import pytest

from models.engine.providers import CPU, CUDA
from tests.integration.documents import application, user_config
from tests.integration.isolated import Isolated
from tests.integration.production.conftest import ADMIN, EMBED
from tests.integration.waiting import wait

pytestmark = pytest.mark.skipif(CUDA in ort.get_available_providers(), reason="this ONNX Runtime has CUDA to give")
FP32, INT8 = "text-embedding@1.0.0", "text-embedding@1.1.0"
FIRST, SECOND = "text-embedding--1-0-0", "text-embedding--1-1-0"  # their applications
SAYS = f"asks for {CUDA} and ONNX Runtime gave {CPU}"


def entry(running: Isolated, reference: str) -> dict[str, Any]:
    with running.client(EMBED[0]) as client:
        found: dict[str, Any] = client.get(f"/v1/models/{reference}").json()
    return found


def test_models_and_metrics_name_the_provider_that_computes(running: Isolated) -> None:
    assert entry(running, FP32)["provider"] == CPU

    def providers() -> dict[str, float]:
        with running.client(ADMIN[0]) as client:
            text = client.get("/metrics").text
        lines = [line for line in text.splitlines() if line.startswith("ray_embedserve_provider_info{")]
        names = [re.search(r'provider="(\w+)"', line) for line in lines]
        return {name[1]: float(line.rpartition(" ")[2]) for name, line in zip(names, lines, strict=True) if name}

    wait("the provider in the metrics", lambda: providers().get(CPU) == 1 and providers().get(CUDA) == 0)


def test_a_swap_that_asks_for_cuda_and_gets_none_is_refused_and_the_old_artifact_serves(running: Isolated) -> None:
    before = entry(running, FP32)["hash"]
    changed = copy.deepcopy(running.document)
    user_config(changed, FIRST).update(artifact=INT8, provider="cuda")
    running.service.deploy(changed)
    wait("the refusal", lambda: SAYS in (entry(running, FP32)["reason"] or ""))
    assert entry(running, FP32)["state"] == "ready"
    assert entry(running, FP32)["hash"] == before
    user_config(changed, FIRST).update(provider="auto")
    running.service.deploy(changed)
    wait("the swap", lambda: entry(running, FP32)["hash"] not in (before, None))


def test_a_replica_that_starts_without_the_cuda_it_asks_for_fails(running: Isolated) -> None:
    """Last, because the application stays."""
    changed = copy.deepcopy(running.document)
    second = copy.deepcopy(application(changed, FIRST))
    second.update(name=SECOND, args={"model": INT8, "profile": "production"})
    second["deployments"][0]["user_config"] = {"artifact": INT8, "provider": "cuda"}
    changed["applications"].append(second)
    user_config(changed)["models"]["text-embedding"]["versions"]["1.1.0"] = 0
    running.service.deploy(changed)

    def message() -> str:
        app = running.service.api().details()["applications"].get(SECOND) or {}
        return f"{app.get('status')} {app.get('message')} {app.get('deployments')}"

    wait("the failure", lambda: SAYS in message())
    assert entry(running, INT8)["state"] != "ready"
    assert entry(running, FP32)["state"] == "ready"
