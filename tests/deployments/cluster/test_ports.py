"""Who listens on a port, in words that lead to the program."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.cli.main import app
from deployments.cluster import ports
from deployments.cluster.ports import BLOCKS, COMMAND, free_port, holder, listening_ports
from deployments.cluster.serve_api import ClusterError

SERVER = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
)

AS_NOBODY = """
import os, sys
from deployments.cluster.ports import holder
port = int(sys.argv[1])
holder(port)  # loads what nobody may not read
os.setresuid(65534, 65534, 65534)
print(holder(port))
"""


@pytest.fixture
def foreign() -> tuple[int, int]:
    """A port of another program, and the program's id."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        try:
            yield int(program.stdout.readline()), program.pid  # type: ignore[misc]
        finally:
            program.kill()


def test_up_names_the_program_on_its_port_with_its_process_id(foreign: tuple[int, int]) -> None:
    port, pid = foreign
    result = CliRunner().invoke(app, ["up", "--port", str(port), "--beside"])
    assert isinstance(result.exception, ClusterError)
    assert f"port {port} is taken by python" in str(result.exception)
    assert f"(pid {pid})" in str(result.exception)


def test_a_long_command_line_is_cut(foreign: tuple[int, int]) -> None:
    said = holder(foreign[0])
    assert len(said) <= COMMAND + len(f" (pid {foreign[1]})")
    assert "…" in said


def test_a_free_port_is_one_that_the_system_gives_to_nobody_else_meanwhile() -> None:
    low, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for _ in range(1000):
        port = free_port()
        assert port < low
        assert port not in range(*BLOCKS[:2])
    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


def test_a_free_port_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(ports, "SINGLE", (port, port + 10))
    with socket.create_server(("127.0.0.1", port)):
        assert port not in {free_port() for _ in range(200)}


def test_a_port_that_nobody_here_holds_is_another_programs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port in listening_ports()
        assert f"(pid {os.getpid()})" in holder(port)
    assert port not in listening_ports()
    assert holder(port) == "another program"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_a_program_of_another_user_is_named_by_that_user(foreign: tuple[int, int]) -> None:
    said = subprocess.check_output([sys.executable, "-c", AS_NOBODY, str(foreign[0])], text=True, timeout=60)
    assert said == "a program of the user root\n"
