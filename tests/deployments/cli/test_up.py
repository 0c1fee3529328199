"""What `embedserve up` refuses before it starts anything."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.cli.main import app
from deployments.cli.ready_message import grpc_address, ready_panel, write_ready_file
from deployments.cli.start_checks import require_free
from deployments.cluster.local_ray import node_environment
from deployments.cluster.ports import free_port
from deployments.cluster.ray_token import require_ray_token
from deployments.cluster.run_folder import RunFolder
from deployments.cluster.serve_api import ClusterError
from deployments.cluster.serve_file import ServeConfig
from deployments.cluster.serve_keys import GRPC_SERVICES
from deployments.config.old_import_paths import CALLBACK_VARIABLE
from deployments.serve_internals import haproxy_process
from models.engine.cores import usable_cores
from models.errors import ConfigError
from tests.integration.documents import shipped


def test_an_environment_of_an_earlier_version_is_refused_before_models_are_fetched() -> None:
    environment = {CALLBACK_VARIABLE: "deployments.http.envelope:middlewares", "EMBEDSERVE_MODELS": "/proc/nowhere"}
    result = CliRunner().invoke(app, ["up", "--port", "1", "--beside"], env=environment)
    assert isinstance(result.exception, ConfigError)
    assert f"set {CALLBACK_VARIABLE}=deployments.serve_internals." in str(result.exception)


@pytest.mark.parametrize("mode", ["disabled", "Disabled", "none"])
def test_an_environment_that_would_open_ray_to_the_network_is_refused(mode: str) -> None:
    result = CliRunner().invoke(app, ["up", "--port", "1", "--beside"], env={"RAY_AUTH_MODE": mode})
    assert isinstance(result.exception, ConfigError)
    assert f"RAY_AUTH_MODE={mode} would open Ray to the network" in str(result.exception)
    assert "set it to token" in str(result.exception)


@pytest.mark.parametrize("mode", [None, "", "token", "TOKEN"])
def test_ray_asks_for_its_token_whatever_the_shell_leaves_open(mode: str | None) -> None:
    environment = {} if mode is None else {"RAY_AUTH_MODE": mode}
    require_ray_token(environment)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_AUTH_MODE", raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        assert node_environment()["RAY_AUTH_MODE"] == "token"


def test_everything_that_ray_and_haproxy_write_lies_in_the_folder_of_the_run(tmp_path: Path) -> None:
    environment = RunFolder(tmp_path).environment(haproxy=True)
    places = [environment[name] for name in (*haproxy_process.PLACES, "TMPDIR")]
    assert all(Path(place).is_relative_to(tmp_path) for place in places)


def test_serves_controller_is_told_how_many_cores_there_are_because_ray_is_told_of_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert node_environment()["EMBEDSERVE_CORES"] == str(usable_cores())
    monkeypatch.setenv("EMBEDSERVE_CORES", "3")
    assert node_environment()["EMBEDSERVE_CORES"] == "3"
    monkeypatch.setenv("EMBEDSERVE_CORES", "all")
    with pytest.raises(ConfigError, match="EMBEDSERVE_CORES must be a number of cores"):
        node_environment()


@pytest.mark.parametrize("by", ["another program", "HTTP"])
def test_a_taken_port_for_grpc_is_named_before_anything_starts(by: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        http = free_port()
        options = {"port": port if by == "another program" else http, "grpc_servicer_functions": [GRPC_SERVICES]}
        config = ServeConfig({**shipped(), "http_options": {"port": http}, "grpc_options": options})
        with pytest.raises(ClusterError, match=f"port {options['port']}, for gRPC, is taken .*grpc_options.port"):
            require_free(config, beside=True)


@pytest.mark.parametrize(
    ("url", "port", "address"),
    [
        ("http://127.0.0.1:8000", 9000, "127.0.0.1:9000"),
        ("http://[::1]:8000", 9000, "[::1]:9000"),
        ("http://10.0.0.7:8000", None, None),
    ],
    ids=["by IPv4", "by IPv6", "where it is off"],
)
def test_what_is_said_when_it_is_ready_names_the_address_for_grpc(
    url: str, port: int | None, address: str | None, tmp_path: Path
) -> None:
    grpc = grpc_address(url, port)
    assert grpc == address
    said = str(ready_panel(url, [], "", asks_for_keys=False, grpc=grpc).renderable)
    assert ("gRPC: " in said, f"gRPC: {address} " in said) == (port is not None, port is not None)
    write_ready_file(tmp_path / "ready", url, "http://127.0.0.1:8265", grpc)
    assert json.loads((tmp_path / "ready").read_text()).get("grpc") == address


def test_versions_are_said_by_the_names_that_requests_use_whatever_artifact_stands_for_them() -> None:
    document = shipped()
    text = next(app for app in document["applications"] if app["args"].get("model") == "text-embedding@1.0.0")
    text["deployments"][0]["user_config"]["artifact"] = "text-embedding@1.1.0"
    assert ServeConfig(document).versions()["text-embedding@1.1.0"] == "text-embedding@1.0.0"
