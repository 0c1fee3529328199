"""What a start needs of this machine is completed where it can be, and said before Ray is started where it cannot."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.cluster.ports import free_port
from deployments.cluster.ray_token import own_token
from deployments.cluster.serve_api import ClusterError, ray_token
from deployments.cluster.start_environment import prepare

PROGRAM = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, 2 * (int(sys.argv[2]),))
from deployments.cluster.start_environment import prepare
from models.errors import EmbedserveError
try:
    print(*prepare("127.0.0.1", int(sys.argv[1]), os.environ), os.environ.get("RAY_SERVE_HAPROXY_MAXCONN"), sep="|")
except EmbedserveError as error:
    print("refused:", error)
"""


def prepared(files: int) -> str:
    """What a process says that may open so many files."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(free_port()), str(files)],
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_few_open_files_are_said_with_what_they_cost_and_haproxy_is_fitted_to_them() -> None:
    note, connections = prepared(1024).split("|")
    assert note.startswith(
        "1024 open files are allowed here: HAProxy takes 329 connections at once instead of 4096; for more"
    )
    assert connections == "329"


def test_too_few_are_refused_before_ray_is_started() -> None:
    assert prepared(512).startswith(
        "refused: 512 open files are allowed here, and a service needs 1024 at least; raise"
    )


def test_a_taken_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ClusterError, match="another program listens"):
        prepare("127.0.0.1", taken.getsockname()[1], {})


def test_proxies_are_kept_away_from_this_machine_and_its_own_address() -> None:
    environment = {"http_proxy": "http://proxy:3128", "no_proxy": "intranet"}
    prepare("127.0.0.1", free_port(), environment)
    assert environment["no_proxy"].startswith("intranet,127.0.0.1,localhost,::1,")
    assert environment["NO_PROXY"] == environment["no_proxy"]


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null", "/proc/self/fdinfo"])
def test_a_home_that_cannot_be_written_gets_a_token_that_lives_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.setenv("HOME", home)
    environment: dict[str, str] = {}
    (note,) = prepare("127.0.0.1", free_port(), environment)
    assert "the home folder cannot keep Ray's token" in note
    assert len(ray_token(environment) or "") == 64


def test_a_token_that_is_there_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/nowhere")
    for name, value in (("RAY_AUTH_TOKEN", "mine"), ("RAY_AUTH_TOKEN_PATH", "/x"), ("RAY_AUTH_MODE", "disabled")):
        assert own_token({name: value}) == {}
    monkeypatch.setenv("HOME", str(tmp_path))
    assert own_token({}) == {}


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null"])
def test_commands_without_a_home_have_no_token_and_no_traceback(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    assert ray_token({}) is None
