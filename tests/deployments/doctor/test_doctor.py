"""`embedserve doctor` names what is wrong and what to do, and its exit status says whether something is."""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from deployments.auth.api_keys import new_key
from deployments.auth.key_file import FILE_VARIABLE, changing
from deployments.cli.main import app
from deployments.cluster.ports import free_port
from deployments.cluster.serve_keys import GRPC_SERVICES
from deployments.config.queue import Queue
from models.catalog.paths import ROOT
from tests.deployments.http.service import application, serving

Findings = list[dict[str, str]]


def findings(*arguments: str, **environment: str) -> tuple[int, Findings]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments], env=environment)
    return result.exit_code, json.loads(result.stdout)


def about(found: Findings, name: str) -> list[dict[str, str]]:
    return [finding for finding in found if finding["about"] == name]


@pytest.fixture
def document() -> dict[str, Any]:
    """The shipped configuration on a free port."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    found["http_options"]["port"] = free_port()
    return found


@pytest.fixture
def config(document: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "serve_config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_machine_that_suits_the_service_has_nothing_wrong(config: Path) -> None:
    status, found = findings("--config", str(config))
    assert [finding for finding in found if finding["level"] == "wrong"] == []
    assert status == 0
    assert {"cores", "precision", "memory", "open files", "leftovers", "port", "models"} <= {f["about"] for f in found}


def test_a_port_that_is_taken_is_named_with_who_has_it(config: Path, document: dict[str, Any]) -> None:
    port = document["http_options"]["port"]
    with socket.create_server(("127.0.0.1", port)):
        status, found = findings("--config", str(config))
    (finding,) = about(found, "port")
    assert status == 1
    assert finding["level"] == "wrong"
    assert str(os.getpid()) in finding["what"]
    assert f"PORT={port + 1}" in finding["remedy"]


def test_keys_are_counted_and_those_that_expire_soon_are_named(config: Path, tmp_path: Path) -> None:
    soon, past = (datetime.now(UTC) + timedelta(days=days) for days in (3, -3))
    file = tmp_path / "keys"
    with changing(file) as keys:
        keys += [
            new_key("shop", ("embed",))[1],
            new_key("late", ("embed",), soon)[1],
            new_key("gone", ("embed",), past)[1],
        ]
    _, found = findings("--config", str(config), **{FILE_VARIABLE: str(file)})
    counted, expiring = about(found, "keys")
    assert counted["what"] == "2 of 3 are valid"
    assert re.match(r"late expires at \d{4}-\d\d-\d\d", expiring["what"])


def test_keys_that_cannot_be_read_are_wrong_and_the_other_checks_go_on(config: Path, tmp_path: Path) -> None:
    status, found = findings("--config", str(config), **{FILE_VARIABLE: str(tmp_path / "nowhere")})
    (finding,) = about(found, "keys")
    assert (status, finding["level"]) == (1, "wrong")
    assert "nowhere" in finding["what"]
    assert about(found, "port")


def test_production_without_keys_is_wrong(document: dict[str, Any], tmp_path: Path) -> None:
    for one in document["applications"]:
        one["args"]["profile"] = "production"
    path = tmp_path / "production.yaml"
    path.write_text(yaml.safe_dump(document))
    status, found = findings("--config", str(path))
    assert status == 1
    assert "embedserve keys create" in about(found, "keys")[0]["remedy"]


def test_a_configuration_with_a_mistake_is_refused_by_its_key(document: dict[str, Any], tmp_path: Path) -> None:
    document["http_options"]["prot"] = 1
    path = tmp_path / "mistake.yaml"
    path.write_text(yaml.safe_dump(document))
    result = CliRunner().invoke(app, ["doctor", "--config", str(path)])
    assert "prot" in str(result.exception)


def test_a_running_service_is_looked_at_by_its_versions(tmp_path: Path) -> None:
    running = application(tmp_path)
    refused = running.embeddings.registry.versions["m@1"]
    assert refused.info
    refused.info = replace(refused.info, swap_error="the graph is damaged")
    with serving(running.app) as client:
        status, found = findings("--url", str(client.base_url))
    assert about(found, "service")[0]["what"].endswith("serves 2 versions")
    assert about(found, "image-embedding@1")[0]["level"] == "good"
    (wrong,) = [finding for finding in found if finding["level"] == "wrong"]
    assert (wrong["about"], status) == ("m@1", 1)
    assert "the graph is damaged" in wrong["what"]
    assert "embedserve rollback" in wrong["remedy"]


def test_a_version_that_sleeps_is_well(tmp_path: Path) -> None:
    running = application(tmp_path)
    sleeping = running.embeddings.registry.versions["image-embedding@1"]
    sleeping.configure(Queue(), may_sleep=True)
    running.embeddings.registry.versions["m@1"].note_replicas(1)
    with serving(running.app) as client:
        status, found = findings("--url", str(client.base_url))
    assert status == 0, found
    assert about(found, "image-embedding@1")[0]["what"].startswith("asleep")


def test_the_port_for_grpc_is_looked_at_where_it_is_on(document: dict[str, Any], tmp_path: Path) -> None:
    document["grpc_options"] = {"port": free_port(), "grpc_servicer_functions": [GRPC_SERVICES]}
    path = tmp_path / "serve_config.yaml"
    path.write_text(yaml.safe_dump(document))
    assert about(findings("--config", str(path))[1], "port for gRPC")[0]["level"] == "good"
    with socket.create_server(("127.0.0.1", document["grpc_options"]["port"])):
        assert about(findings("--config", str(path))[1], "port for gRPC")[0]["level"] == "wrong"


def test_what_people_read_has_a_line_for_each_finding(config: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--config", str(config)])
    assert all(re.match(r"(ok|note|wrong)\s+\S", line) for line in result.stdout.splitlines())
