"""Serve's REST API on any cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from deployments.cluster.hosts import spelled
from deployments.cluster.last_line import last_line
from deployments.cluster.ray_token import TOKEN_FILE
from deployments.cluster.serve_file import ServeConfig
from models.errors import EmbedserveError
from models.http_client import outward

APPLICATIONS = "/api/serve/applications/"  # documented: GET tells all, PUT takes a configuration
VERSION = "/api/version"
TIMEOUT_S = 60.0  # the API starts Serve within its first PUT, which takes seconds on a busy machine
DEPLOY_ATTEMPTS = 3


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
    try:
        default = (home or Path.home()) / TOKEN_FILE
        return default.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError, RuntimeError):  # the last for a user without a home
        return None
    except OSError as error:
        raise ClusterError(f"cannot read {default}: {error.strerror}; RAY_AUTH_TOKEN_PATH may name another") from error


class ServeApi:
    """Serve's REST API; finds Ray's token where Ray's own tools do."""

    def __init__(self, dashboard: str) -> None:
        """Connect to a dashboard's base URL.

        Raises:
            ClusterError: nothing answers there, or it wants another token.
        """
        token = ray_token()
        self._client = outward(
            base_url=dashboard.rstrip("/"),
            headers={"authorization": f"Bearer {token}"} if token else {},
            timeout=TIMEOUT_S,
        )
        try:
            self._ask("GET", VERSION)
        except ClusterError as error:
            raise ClusterError(
                f"no Serve REST API answers at {dashboard}: {str(error).splitlines()[0]}; --dashboard or RAY_DASHBOARD_ADDRESS "
                "names Ray's dashboard, which `embedserve up` prints when it is ready"
            ) from error

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
                self._ask("PUT", APPLICATIONS, spelled(config.document))
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
