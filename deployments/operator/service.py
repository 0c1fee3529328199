"""A running service as commands see it: through Serve's REST API, and through its own API."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from deployments.cluster.serve_api import ClusterError, ServeApi
from deployments.cluster.serve_file import ServeConfig
from deployments.config.old_import_paths import refuse_old_paths
from deployments.operator import lock
from deployments.operator.document import Document, from_details
from deployments.operator.traffic_stats import TrafficStats, parse
from models.errors import ForbiddenError, UnavailableError
from models.http_client import direct

TIMEOUT_S = 15.0
KEY_VARIABLE = "EMBEDSERVE_API_KEY"  # and no option: every user of the machine can read command lines
RETRY_S = 0.5
T = TypeVar("T")
Entry = dict[str, Any]  # a version as /v1/models describes it


class RunningService:
    """A running service, and the cluster that it runs on."""

    atomic = False  # Serve has no compare-and-swap

    def __init__(self, dashboard: str, url: str | None = None) -> None:
        """Connect to Ray's dashboard; without ``url`` the service is looked for on the dashboard's host.

        Raises:
            ClusterError: no Serve answers there.
        """
        self._api = ServeApi(dashboard)
        self._dashboard = dashboard
        self._url = url

    def details(self) -> dict[str, Any]:
        """What Serve says of itself.

        Raises:
            ClusterError: Serve does not answer.
        """
        return self._api.details()

    def look(self) -> tuple[dict[str, Any], Document]:
        """What Serve says of its applications, and the document that the cluster was last asked for.

        Raises:
            ClusterError: Serve does not answer.
            UnavailableError: nothing is deployed, which Serve also says while its controller restarts.
            ConfigError: an earlier version of this service is deployed.
        """
        details = self._api.details()
        document = from_details(details)
        if not document["applications"]:
            raise UnavailableError(f"nothing is deployed at {self._dashboard}; `embedserve up --address` deploys")
        refuse_old_paths(document, f"the configuration deployed at {self._dashboard}")
        return details, document

    def read(self, patience_s: float = 0) -> Document:
        """The document that the cluster was last asked for; with patience also while Serve's controller restarts."""
        return _patiently(self.look, patience_s)[1]

    def write(self, document: Document, patience_s: float = 0) -> None:
        """Ask for a document; the cluster converges in the background."""
        _patiently(partial(self._api.deploy, ServeConfig(document)), patience_s)

    def url(self, document: Document) -> str:
        """Where the service answers."""
        if self._url:
            return self._url.rstrip("/")
        port = document.get("http_options", {}).get("port", 8000)
        return f"http://{urlsplit(self._dashboard).hostname}:{port}"

    def versions(self, document: Document) -> list[Entry]:
        """The entries of ``/v1/models``, from whichever gateway replica answers.

        Raises:
            UnavailableError: none does.
        """
        return served_versions(self.url(document))

    def begin(self, document: Document) -> int:
        """The number of the next change."""
        return lock.revision(document) + 1

    def ended(self, number: int, claim: lock.Claim, result: str) -> str:  # noqa: ARG002 - the document says it all
        """Nothing to note: the gateway's ``user_config`` has it."""
        return ""


def _patiently(step: Callable[[], T], patience_s: float) -> T:
    """Repeat a step that fails, for a while: it may be a restart."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return step()
        except (ClusterError, UnavailableError):
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_S)


def credentials() -> dict[str, str]:
    """The header with the operator's API key; none where the environment has no key."""
    key = os.environ.get(KEY_VARIABLE)
    return {"authorization": f"Bearer {key}"} if key else {}


def served_versions(url: str) -> list[Entry]:
    """The entries of ``/v1/models``. A new connection each time, so that the replicas take turns.

    Raises:
        ForbiddenError: the service asks for an API key, and the one in the environment does not do.
        UnavailableError: nothing answers at ``url``, or something else than this service.
    """
    try:
        with direct(timeout=TIMEOUT_S) as client:
            answer = client.get(f"{url.rstrip('/')}/v1/models", headers=credentials())
        if answer.status_code in (401, 403):
            raise ForbiddenError(f"{url} asks for an API key; {KEY_VARIABLE} must hold one", code="invalid_api_key")
        answer.raise_for_status()
        entries: list[Entry] = answer.json()["data"]
    except (httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(
            f"no service answers at {url}: {error}; --url says where it is, `make run` starts one"
        ) from error
    return entries


def traffic_stats(url: str) -> dict[str, TrafficStats]:
    """What each version counted; empty when the service exports nothing of the kind, or not to this API key."""
    try:
        with direct(timeout=TIMEOUT_S) as client:
            answer = client.get(f"{url.rstrip('/')}/metrics", headers=credentials())
        answer.raise_for_status()
        return parse(answer.text)
    except (httpx2.HTTPError, ValueError):
        return {}
