"""Serve's REST API, spoken to a small server in its place."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deployments.cluster.ports import free_port
from deployments.cluster.serve_api import ClusterError, ServeApi, ray_token
from deployments.cluster.serve_file import ServeConfig

TRACEBACK = """Traceback (most recent call last):
  File "serve_head.py", line 1, in put
ray.serve.exceptions.RayServeException: 'port' is not a number
"""


class Dashboard(ThreadingHTTPServer):
    """Remembers what it was asked and answers what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str | None, Any]] = []
        self.token: str | None = None
        self.answers: dict[str, list[tuple[int, str]]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Dashboard

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        token = self.headers.get("authorization")
        self.server.asked.append((self.command, self.path, token, json.loads(body) if body else None))
        status, text = 200, "{}"
        if self.server.token and token != f"Bearer {self.server.token}":
            status, text = (
                (403, "Forbidden: Invalid authentication token") if token else (401, "Unauthorized: no token")
            )
        elif waiting := self.server.answers.get(self.command):
            status, text = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        data = text.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    server = Dashboard()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home folder and an environment without a token."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return tmp_path


def test_the_token_is_looked_for_where_ray_looks(tmp_path: Path, nobody: Path) -> None:
    assert ray_token({}) is None
    (nobody / ".ray").mkdir()
    (nobody / ".ray" / "auth_token").write_text("from home\n")
    (tmp_path / "token").write_text("from a file\n")
    assert ray_token({}) == "from home"
    assert ray_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}) == "from a file"
    assert ray_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "RAY_AUTH_TOKEN": " direct "}) == "direct"
    assert ray_token({"RAY_AUTH_MODE": "TOKEN"}) == "from home"
    assert ray_token({"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "direct"}) is None
    with pytest.raises(ClusterError, match=r"RAY_AUTH_TOKEN_PATH.*gone"):
        ray_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "gone")})


def test_a_configuration_is_put_with_the_token(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    dashboard.token = "secret"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    document = {"applications": []}
    ServeApi(f"{dashboard.url}/").deploy(ServeConfig(document))
    assert dashboard.asked[-1] == ("PUT", "/api/serve/applications/", "Bearer secret", document)


@pytest.mark.parametrize(("token", "said"), [(None, "Unauthorized"), ("wrong", "Forbidden")])
def test_a_token_that_will_not_do_is_said_with_where_it_belongs(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, token: str | None, said: str
) -> None:
    dashboard.token = "secret"
    if token:
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    with pytest.raises(ClusterError, match=f"no Serve REST API answers at.*{said}.*RAY_AUTH_TOKEN_PATH"):
        ServeApi(dashboard.url)


def test_nothing_there_is_said() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ClusterError, match=f"no Serve REST API answers at {url}: ConnectError"):
        ServeApi(url)


def test_a_refused_configuration_is_tried_three_times_and_the_reason_is_the_last_line(dashboard: Dashboard) -> None:
    api = ServeApi(dashboard.url)
    dashboard.answers["PUT"] = [(500, TRACEBACK)]
    with pytest.raises(ClusterError, match=r"Serve refused the configuration: ray\.serve.*'port' is not a number"):
        api.deploy(ServeConfig({}))
    assert [method for method, *_ in dashboard.asked].count("PUT") == 3


def test_a_serve_that_starts_slowly_is_asked_again(dashboard: Dashboard) -> None:
    api = ServeApi(dashboard.url)
    dashboard.answers["PUT"] = [(500, "timed out"), (200, "{}")]
    api.deploy(ServeConfig({}))


def test_the_states_of_applications_end_in_what_their_deployments_say(dashboard: Dashboard) -> None:
    api = ServeApi(dashboard.url)
    deployments = {"TextEncoder": {"message": "no place"}, "Decoder": {"message": ""}}
    details = {"applications": {"a": {"status": "DEPLOYING", "message": "started", "deployments": deployments}}}
    dashboard.answers["GET"] = [(200, json.dumps(details))]
    assert api.states() == {"a": ("DEPLOYING", "started\nno place")}
    dashboard.answers["GET"] = [(503, "the controller is gone")]
    with pytest.raises(ClusterError, match=r"Serve does not answer: .*503.*the controller is gone"):
        api.states()


def test_a_ray_that_lets_in_whoever_comes_is_told_from_one_that_asks_for_its_token(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert not ServeApi(dashboard.url).asks_for_token()
    dashboard.token = "secret"
    api = ServeApi(dashboard.url)
    assert api.asks_for_token()
    assert api.details() == {}, "and the token goes with what comes next"
