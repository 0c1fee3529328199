"""A running service as commands change it, through Serve's REST API."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from deployments.cluster.serve_api import ClusterError, ServeApi
from deployments.cluster.serve_file import ServeConfig
from deployments.config.old_import_paths import refuse_old_paths
from deployments.operator import lock
from deployments.operator.document import Document, from_details
from deployments.operator.served import Entry, served_versions
from models.errors import UnavailableError

RETRY_S = 0.5
T = TypeVar("T")


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
