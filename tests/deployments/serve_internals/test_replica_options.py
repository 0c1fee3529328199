"""Serve still keeps a deployment's options where replicas find them."""

from __future__ import annotations

import dataclasses

import pytest
from ray import serve
from ray.serve._private.config import DeploymentConfig
from ray.serve.context import ReplicaContext

from deployments.serve_internals.replica_options import max_ongoing_requests


def test_a_replica_knows_its_deployments_max_ongoing_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "_deployment_config" in {field.name for field in dataclasses.fields(ReplicaContext)}
    config = DeploymentConfig(max_ongoing_requests=17)
    context = ReplicaContext(None, None, config, None, 1)  # type: ignore[arg-type]
    monkeypatch.setattr(serve, "get_replica_context", lambda: context)
    assert max_ongoing_requests(64) == 17


def test_outside_of_a_replica_the_given_number_holds() -> None:
    assert max_ongoing_requests(64) == 64
