"""Serve's REST API on any cluster, and waiting for a configuration to serve."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from deployments.cluster.serve_file import ServeConfig
from models.errors import EmbedserveError

APPLICATIONS = "/api/serve/applications/"  # documented: GET tells all, PUT takes a configuration
VERSION = "/api/version"
TIMEOUT_S = 60.0  # the API starts Serve within its first PUT, which takes seconds on a busy machine
LOOPBACK = ("127.0.0.1", "localhost", "::1")
POLL_S = 0.2
DEPLOY_ATTEMPTS = 3
ERROR_LINE = re.compile(r"^[\w.]*(Error|Exception)\b.*: ")  # the last line of a Python traceback
TOKEN_FILE = Path(".ray") / "auth_token"  # below the home folder, where Ray leaves and looks for its token


class ClusterError(EmbedserveError):
    """Ray or Serve could not do what was asked."""


def ray_token(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> str | None:
    """The token for Ray's REST API, from where Ray's own tools take it; None where there is none, or it is switched off.

    Raises:
        ClusterError: the file that ``RAY_AUTH_TOKEN_PATH`` names cannot be read.
    """
    if environment.get("RAY_AUTH_MODE", "token").lower() != "token":
        return None
    if token := environment.get("RAY_AUTH_TOKEN", "").strip():
        return token
    if named := environment.get("RAY_AUTH_TOKEN_PATH"):
        try:
            return Path(named).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ClusterError(f"RAY_AUTH_TOKEN_PATH: {error}") from error
    default = (home or Path.home()) / TOKEN_FILE
    return default.read_text(encoding="utf-8").strip() if default.is_file() else None


class ServeApi:
    """Serve's REST API; finds Ray's token where Ray's own tools do."""

    def __init__(self, dashboard: str) -> None:
        """Connect to a dashboard's base URL.

        Raises:
            ClusterError: nothing answers there, or it wants another token.
        """
        token = ray_token()
        self._client = httpx2.Client(
            base_url=dashboard.rstrip("/"),
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=TIMEOUT_S,
            trust_env=urlsplit(dashboard).hostname not in LOOPBACK,
        )
        try:
            self._ask("GET", VERSION)
        except ClusterError as error:
            raise ClusterError(f"no Serve REST API answers at {dashboard}: {str(error).splitlines()[0]}") from error

    def asks_for_token(self) -> bool:
        """Whether whoever comes without Ray's token is turned away.

        Raises:
            ClusterError: it does not answer.
        """
        try:
            answer = self._client.get(APPLICATIONS, headers={"authorization": ""})
        except httpx2.HTTPError as error:
            raise ClusterError(f"{type(error).__name__}: {error}") from error
        return answer.status_code in (401, 403)

    def deploy(self, config: ServeConfig) -> None:
        """Ask for a configuration; the cluster converges in the background.

        Raises:
            ClusterError: it was refused.
        """
        for attempt in range(1, DEPLOY_ATTEMPTS + 1):
            try:
                self._ask("PUT", APPLICATIONS, config.document)
            except ClusterError as error:  # the server's traceback is in it
                # While Serve itself starts on a busy machine the request may time out inside; it is safe to repeat.
                if attempt == DEPLOY_ATTEMPTS:
                    raise ClusterError(f"Serve refused the configuration: {last_line(str(error))}") from error
                time.sleep(attempt)
            else:
                return

    def details(self) -> dict[str, Any]:
        """All that Serve says of its applications.

        Raises:
            ClusterError: it does not answer.
        """
        try:
            details: dict[str, Any] = self._ask("GET", APPLICATIONS).json()
        except ClusterError as error:
            raise ClusterError(f"Serve does not answer: {str(error).splitlines()[-1]}") from error
        return details

    def _ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> httpx2.Response:
        try:
            answer = self._client.request(method, path, json=document)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ClusterError(f"{type(error).__name__}: {error}") from error
        if answer.status_code in (401, 403):
            raise ClusterError(
                f"Ray refused the token ({answer.text.strip()}); RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/{TOKEN_FILE} "
                "holds the cluster's"
            )
        if answer.status_code != 200:
            raise ClusterError(f"Request failed with status code {answer.status_code}: {answer.text}.")
        return answer

    def states(self) -> dict[str, tuple[str, str]]:
        """Status and message of every application; the message ends in what its deployments say."""
        states = {}
        for name, app in self.details().get("applications", {}).items():
            said = [app.get("message"), *(d.get("message") for d in app.get("deployments", {}).values())]
            states[name] = (app["status"], "\n".join(text for text in said if text))
        return states

    def entrances(self, config: ServeConfig) -> list[str]:
        """Base URLs at which the service may answer this machine: those of nodes, or loopback where it listens there.

        Raises:
            ClusterError: Serve does not answer.
        """
        if config.host in LOOPBACK:
            return [f"http://127.0.0.1:{config.port}"]
        proxies: dict[str, dict[str, Any]] = self.details().get("proxies", {})
        return [f"http://{proxy['node_ip']}:{config.port}" for proxy in proxies.values() if proxy.get("node_ip")]


def wait_until_ready(
    api: ServeApi, config: ServeConfig, timeout_s: float, tell: Callable[[dict[str, str]], None]
) -> str:
    """Wait until every application runs and the gateway says that each routed version embeds; returns its URL.

    Args:
        api: where to ask.
        config: what was asked for.
        timeout_s: how long to wait.
        tell: hears the status of each application whenever it was asked.

    Raises:
        ClusterError: an application failed, or time ran out.
    """
    wanted = [app["name"] for app in config.applications()]
    deadline = time.monotonic() + timeout_s
    states: dict[str, tuple[str, str]] = {}
    while time.monotonic() < deadline:
        states = api.states()
        tell({name: states.get(name, ("NOT_STARTED", ""))[0] for name in wanted})
        failed = [
            f"{name}: {last_line(states[name][1])}" for name in wanted if states.get(name, ("",))[0] == "DEPLOY_FAILED"
        ]
        if failed:
            raise ClusterError("deployment failed: " + "; ".join(failed))
        if all(states.get(name, ("",))[0] == "RUNNING" for name in wanted):
            for url in api.entrances(config):
                if ready(url):
                    return url
        time.sleep(POLL_S)
    waiting = [f"{name} is {states.get(name, ('NOT_STARTED',))[0]}" for name in wanted]
    raise ClusterError(f"not ready within {timeout_s:g} s: {', '.join(waiting)}")


def last_line(message: str) -> str:
    """What went wrong, without the traceback that Ray puts before it."""
    lines = [line.strip() for line in message.splitlines() if line.strip(" .\t")]
    named = [i for i, line in enumerate(lines) if ERROR_LINE.match(line)]
    return " ".join(lines[named[-1] : named[-1] + 3]) if named else (lines or ["no reason given"])[-1]


def ready(url: str) -> bool:
    """Whether the service at a base URL says that it is ready."""
    try:
        return httpx2.get(f"{url}/health/ready", timeout=10, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False
