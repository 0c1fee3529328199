"""What an upgrade of the cluster starts the new one with."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve._private.autoscaling_state import DeploymentAutoscalingState
from ray.serve._private.common import DeploymentID, TargetCapacityDirection
from ray.serve.config import AutoscalingConfig
from typer.testing import CliRunner

from deployments.cli import main as cli
from deployments.cluster.serve_file_check import check
from deployments.operator.hold import hold, live_counts
from models.catalog.paths import ROOT

FILE = ROOT / "serve_config.yaml"


def details(**targets: int) -> dict[str, Any]:
    """What Serve says: so many replicas are wanted, and one fewer runs."""
    document = yaml.safe_load(FILE.read_text())
    apps = {}
    for app in document["applications"]:
        name = app["deployments"][0]["name"]
        asleep = app["deployments"][0]["autoscaling_config"]["min_replicas"] == 0
        wanted = 0 if asleep else targets.get(name, 1)
        replicas = [{"state": "RUNNING"}] * (wanted - 1) + [{"state": "STARTING"}] * min(wanted, 1)
        apps[app["name"]] = {"deployments": {name: {"target_num_replicas": wanted, "replicas": replicas}}}
    return {"applications": apps}


def scaling(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By name; of two with the same name, the first: the other one sleeps."""
    return {
        d["name"]: d["autoscaling_config"] for app in reversed(document["applications"]) for d in app["deployments"]
    }


def test_what_has_grown_is_held_within_its_most_and_nothing_else_changes() -> None:
    document = yaml.safe_load(FILE.read_text())
    most = scaling(document)["ImageEncoder"]["max_replicas"]
    held = hold(document, live_counts(details(TextEncoder=3, ImageEncoder=most + 5)))
    changed = scaling(held)
    assert (changed["TextEncoder"]["min_replicas"], changed["TextEncoder"]["initial_replicas"]) == (3, 3)
    assert (changed["ImageEncoder"]["min_replicas"], changed["ImageEncoder"]["initial_replicas"]) == (most, most)
    assert changed["Gateway"] == scaling(document)["Gateway"]
    for name in ("TextEncoder", "ImageEncoder"):
        changed[name] |= {"min_replicas": scaling(document)[name]["min_replicas"]}
        del changed[name]["initial_replicas"]
    assert held == document


def test_what_sleeps_or_has_a_fixed_number_stays_as_it_is() -> None:
    document = yaml.safe_load(FILE.read_text())
    text, image = document["applications"][1]["deployments"][0], document["applications"][2]["deployments"][0]
    text["autoscaling_config"]["min_replicas"] = 0
    del image["autoscaling_config"]
    image["num_replicas"] = 2
    asleep = details(ImageEncoder=5)
    asleep["applications"][document["applications"][1]["name"]]["deployments"]["TextEncoder"] = {
        "target_num_replicas": 0,
        "replicas": [],
    }
    assert hold(document, live_counts(asleep)) == document


def test_what_was_woken_begins_with_what_runs_and_may_go_to_sleep_again() -> None:
    document = yaml.safe_load(FILE.read_text())
    app = next(app for app in document["applications"] if app["name"] == "clip-text-embedding--1-0-0")
    (before,) = [d["autoscaling_config"] for d in app["deployments"]]
    assert before["min_replicas"] == 0
    held = hold(document, {(app["name"], "TextEncoder"): 2})
    check(held, "what is held")
    (after,) = [
        d["autoscaling_config"]
        for one in held["applications"]
        if one["name"] == app["name"]
        for d in one["deployments"]
    ]
    assert after == {**before, "initial_replicas": 2}


@pytest.mark.parametrize("percent", [25, 50, 75, 100])
def test_serve_keeps_the_held_number_in_proportion_at_every_step_of_an_incremental_upgrade(percent: int) -> None:
    """KubeRay raises target_capacity of the new cluster; without a hold it would start at the least."""
    held = hold(yaml.safe_load(FILE.read_text()), live_counts(details(TextEncoder=8)))
    config = {key: value for key, value in scaling(held)["TextEncoder"].items() if key != "policy"}
    state = DeploymentAutoscalingState(DeploymentID("TextEncoder", "text"))
    state._config = AutoscalingConfig(**config)
    for direction in (TargetCapacityDirection.UP, TargetCapacityDirection.DOWN):
        state._target_capacity, state._target_capacity_direction = float(percent), direction
        assert state.get_num_replicas_lower_bound() == 8 * percent // 100


@pytest.fixture
def dashboard() -> Iterator[str]:
    """Serve's REST API of a cluster with three replicas of texts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(details(TextEncoder=3)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_command_writes_the_file_of_the_new_cluster_and_keeps_its_comments(dashboard: str, tmp_path: Path) -> None:
    file = tmp_path / "serve_config.yaml"
    file.write_text(FILE.read_text())
    command = ["hold-replicas", str(file), "--dashboard", dashboard]
    shown = CliRunner().invoke(cli.app, [*command, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert "initial_replicas: 3" in shown.stdout
    assert file.read_text() == FILE.read_text()
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    held = scaling(yaml.safe_load(file.read_text()))
    assert held["TextEncoder"]["min_replicas"] == held["TextEncoder"]["initial_replicas"] == 3
    comments = [line for line in FILE.read_text().splitlines() if line.lstrip().startswith("#")]
    assert [line for line in file.read_text().splitlines() if line.lstrip().startswith("#")] == comments
    again = CliRunner().invoke(cli.app, command)
    assert "nothing to change" in again.stdout


def test_a_kustomize_folder_is_held_in_its_patch_and_the_rest_of_that_stays(dashboard: str, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    shutil.copytree(ROOT / "k8s" / "overlays" / "ha", overlay)
    patch = overlay / "serve-config.yaml"
    before = list(yaml.safe_load_all(patch.read_text()))
    done = CliRunner().invoke(cli.app, ["hold-replicas", str(overlay), "--dashboard", dashboard])
    assert done.exit_code == 0, done.output
    after = list(yaml.safe_load_all(patch.read_text()))
    held = scaling(yaml.safe_load(after[0]["spec"]["serveConfigV2"]))
    assert held["TextEncoder"]["min_replicas"] == held["TextEncoder"]["initial_replicas"] == 3
    assert after[1:] == before[1:]
    assert {path.name: path.read_text() for path in overlay.iterdir() if path != patch} == {
        path.name: path.read_text() for path in (ROOT / "k8s" / "overlays" / "ha").iterdir() if path.name != patch.name
    }
