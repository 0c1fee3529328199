"""Where a service may listen: what would start and never be ready is refused, and what is allowed listens there."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig, get_haproxy_binary
from ray.serve.config import HTTPOptions

from deployments.cluster.hosts import ALLOWED, check_host, entrances, refusal, require_port, spelled
from deployments.cluster.open_files import CONNECTIONS, LEAST, VARIABLE, fitting
from deployments.cluster.ports import free_port, port_taken
from deployments.cluster.remedies import with_remedy
from models.errors import ConfigError
from tests.integration.waiting import wait


def written(
    folder: Path, port: int, host: str = "127.0.0.1", connections: int = CONNECTIONS, gateways: int = 4
) -> Path:
    """HAProxy's configuration as Serve writes it."""
    file = folder / "haproxy.cfg"
    config = HAProxyConfig(
        socket_path=str(folder / "s"),
        server_state_base=str(folder),
        server_state_file=str(folder / "state"),
        maxconn=connections,
        stats_port=free_port(),
        metrics_port=free_port(),
        metrics_enabled=False,
        http_options=HTTPOptions(host=host, port=port),
        has_received_routes=True,
        has_received_servers=True,
    )
    servers = [ServerConfig(f"g{i}", "127.0.0.1", 1) for i in range(gateways)]
    backend = BackendConfig(
        name="http-gateway", path_prefix="/", app_name="gateway", http_health_check_path="/", servers=servers
    )
    HAProxyApi(config, {"http-gateway": backend}, str(file))._generate_config_file_internal()
    return file


@contextmanager
def haproxy(file: Path, files: int = 20_000) -> Iterator[subprocess.Popen[str]]:
    command = ["bash", "-c", f'ulimit -n {files}; exec "$0" -db -f "$1"', get_haproxy_binary(), str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "reached", "unreached"),
    [("127.0.0.1", "127.0.0.1", "::1"), ("0.0.0.0", "127.0.0.1", "::1"), ("::", "127.0.0.1 ::1", ""),
     ("localhost", "127.0.0.1", "::1")],
)  # fmt: skip
def test_haproxy_listens_where_the_host_says(tmp_path: Path, host: str, reached: str, unreached: str) -> None:
    port = free_port()
    meant = spelled({"http_options": {"host": host}})["http_options"]["host"]
    with haproxy(written(tmp_path, port, meant)) as process:
        wait("HAProxy", lambda: process.poll() is not None or port_taken(port))
        assert [one for one in ("127.0.0.1", "::1") if answers(one, port)] == reached.split(), unreached


@pytest.mark.parametrize(
    "host", ["::1", "localhost6", "192.0.2.7", "127.0.0.2", "10.0.0.1", "*", "", "example.com", 5, True]
)
def test_a_host_on_which_no_service_gets_ready_is_refused_with_those_that_are_left(host: Any) -> None:
    said = rf"http_options: host {re.escape(repr(host))} .*127\.0\.0\.1.*0\.0\.0\.0.*'::'"
    with pytest.raises(ConfigError, match=said):
        check_host(host, "http_options")


def test_the_others_are_taken() -> None:
    for host in (*ALLOWED, None):
        check_host(host, "http_options")


def test_a_document_that_needs_no_other_spelling_stays_as_it_is() -> None:
    for document in ({}, {"http_options": {}}, {"http_options": {"host": "0.0.0.0", "port": 1}}):
        assert spelled(document) is document
    assert spelled({"http_options": {"host": "::", "port": 1}, "a": 1}) == {
        "http_options": {"host": "::0", "port": 1},
        "a": 1,
    }


def test_a_service_is_asked_where_it_answers() -> None:
    assert entrances("127.0.0.1", 8000, ["192.0.2.2"]) == ["http://127.0.0.1:8000"]
    assert entrances("::", 8000, ["192.0.2.2", "2001:db8::1"]) == ["http://192.0.2.2:8000", "http://[2001:db8::1]:8000"]


def test_a_port_that_is_taken_or_none_is_refused_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for host in ("127.0.0.1", "0.0.0.0", "::", "localhost"):
            assert f"another program listens there; choose another port, such as {port + 1}" in (
                refusal(host, port) or ""
            )
    assert refusal("127.0.0.1", free_port()) is None
    for port in (0, -1, 65_536):
        with pytest.raises(ConfigError, match=f"from 1 to 65535, not {port}"):
            require_port(port)


# The limit on open files


@pytest.mark.parametrize("files", [LEAST, 1500, 4096, 10_000, 10_276])
def test_haproxy_starts_with_as_many_connections_as_fit_and_not_with_rays_default(tmp_path: Path, files: int) -> None:
    connections = int(fitting(files, {}).get(VARIABLE, CONNECTIONS))
    assert connections >= 300
    port = free_port()
    with haproxy(written(tmp_path, port, connections=connections, gateways=20), files) as process:
        wait("HAProxy", lambda: process.poll() is not None or port_taken(port))
        assert process.poll() is None, process.stderr and process.stderr.read()
    if files < 10_276:
        with haproxy(written(tmp_path, free_port(), connections=CONNECTIONS), files) as process:
            assert process.wait(30) != 0
            said = process.stderr.read() if process.stderr else ""
        assert "Cannot raise FD limit" in said
        assert "ulimit -Hn" in with_remedy(said)


def test_a_limit_that_is_no_limit_changes_nothing() -> None:
    assert fitting(1 << 20, {}) == {}
    assert fitting(1 << 20, {VARIABLE: "20000"}) == {}
    assert fitting(4096, {VARIABLE: "500"}) == {}


@pytest.mark.parametrize(("files", "environment"), [(1023, {}), (100, {}), (4096, {VARIABLE: "4096"})])
def test_too_low_a_limit_is_refused_with_what_raises_it(files: int, environment: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=rf"{files} open files.*ulimit -Hn.*LimitNOFILE"):
        fitting(files, environment)
