"""The few requests that commands make to a Kubernetes API server, with what its answers mean for an operator."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from deployments.cluster.serve_api import ClusterError
from models.errors import ConfigError, EmbedserveError, ForbiddenError, UnavailableError
from models.http_client import LOOPBACK

if TYPE_CHECKING:
    from lightkube import Client, KubeConfig

T = TypeVar("T")
Resource = dict[str, Any]
ATTEMPTS = 20  # of a write while others write too
PATIENCE_S = 30.0  # an API server that restarts or sheds load is back after this
TIMEOUT_S = 10.0  # of one request
RETRY_S = 0.5
LONGEST_PAUSE_S = 10.0  # whatever Retry-After says
MANAGER = "embedserve"  # the field manager, as `kubectl get --show-managed-fields` names it
RIGHTS = "docs/operations.md lists the rights that these commands need"


class MissingError(ConfigError):
    """There is no object of that name."""


class ChangedError(EmbedserveError):
    """The object has another resourceVersion than the one that was to be changed, or exists already."""


class KubeApi:
    """One namespace of a Kubernetes cluster."""

    def __init__(self, namespace: str | None = None, context: str | None = None) -> None:
        """Find the cluster as kubectl does: ``KUBECONFIG``, then the pod's service account, then ``~/.kube/config``.

        Raises:
            ConfigError: the client is not installed, or there are no credentials.
        """
        self._client, self._kinds = _connect(namespace, context)
        self.namespace: str = self._client.namespace

    def get(self, kind: str, name: str) -> Resource:
        """One object.

        Raises:
            EmbedserveError: it is missing, forbidden, or the API server does not answer.
        """
        return _plain(self._ask(f"{kind} {name}", lambda: self._client.get(self._kinds[kind], name)))

    def every(self, kind: str) -> list[Resource]:
        """All objects of a kind."""
        return [_plain(found) for found in self._ask(f"{kind}s", lambda: list(self._client.list(self._kinds[kind])))]

    def merge(self, kind: str, name: str, patch: Resource) -> Resource:
        """Change an object by a merge patch; with a ``resourceVersion`` in it only while that is the object's.

        Raises:
            ChangedError: it is another one by now, or ours, if an answer to this patch was lost.
        """
        from lightkube.types import PatchType

        return _plain(
            self._ask(
                f"{kind} {name}",
                lambda: self._client.patch(self._kinds[kind], name, patch, patch_type=PatchType.MERGE),
            )
        )

    def edit(self, kind: str, name: str, operations: list[Resource]) -> Resource:
        """Change an object by a JSON patch, all of it or nothing.

        Raises:
            ChangedError: its ``resourceVersion`` is another one by now.
            ClusterError: an operation does not fit the object.
        """
        from lightkube.types import PatchType

        return _plain(
            self._ask(
                f"{kind} {name}",
                lambda: self._client.patch(self._kinds[kind], name, operations, patch_type=PatchType.JSON),
            )
        )

    def create(self, kind: str, resource: Resource) -> Resource:
        """Make an object.

        Raises:
            ChangedError: there is one of that name.
        """
        made = self._kinds[kind].from_dict(resource)
        return _plain(self._ask(f"{kind} {resource['metadata'].get('name', '')}", lambda: self._client.create(made)))

    def _ask(self, what: str, step: Callable[[], T]) -> T:
        """Repeat what an API server refused for load, or did not answer: a patch with a ``resourceVersion`` acts once."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return step()
            except httpx2.HTTPStatusError as error:
                pause = _pause(error, what)
                reason: Exception = error
            except httpx2.TransportError as error:
                pause, reason = RETRY_S, error
            if time.monotonic() + pause > deadline:
                raise UnavailableError(f"the Kubernetes API server does not answer for {what}: {reason}") from reason
            time.sleep(pause)


def _pause(error: httpx2.HTTPStatusError, what: str) -> float:
    """Seconds until the request may be repeated.

    Raises:
        EmbedserveError: repeating it is of no use.
    """
    status, said = error.response.status_code, str(error)
    if status in (401, 403):
        raise ForbiddenError(f"Kubernetes refuses {what}: {said}; {RIGHTS}", code="forbidden") from error
    if status == 404:
        raise MissingError(f"Kubernetes has no {what}: {said}") from error
    if status == 409:
        raise ChangedError(said) from error
    if status in (410, 429) or status >= 500:  # 410: the server's cache lags behind, as after its restart
        try:
            wished = float(error.response.headers.get("retry-after", RETRY_S))
        except ValueError:
            wished = RETRY_S
        return min(max(wished, RETRY_S), LONGEST_PAUSE_S)
    raise ClusterError(f"Kubernetes refuses the change of {what}: {said}") from error


def _connect(namespace: str | None, context: str | None) -> tuple[Client, dict[str, Any]]:
    try:
        from lightkube import Client
        from lightkube.core.exceptions import ConfigError as NoCredentialsError
        from lightkube.generic_resource import create_namespaced_resource
        from lightkube.resources.core_v1 import ConfigMap, Event
    except ImportError as error:
        raise ConfigError(f"--kube needs the Kubernetes client: pip install 'embedserve[kube]' ({error})") from error
    kinds = {
        "RayService": create_namespaced_resource("ray.io", "v1", "RayService", "rayservices"),
        "RayCluster": create_namespaced_resource("ray.io", "v1", "RayCluster", "rayclusters"),
        "ConfigMap": ConfigMap,
        "Event": Event,
    }
    try:
        config = _credentials(context).get(context)
    except (NoCredentialsError, OSError, KeyError, ValueError) as error:
        raise ConfigError(f"no Kubernetes cluster to talk to: {error}; KUBECONFIG names a file for it") from error
    assert config is not None, "there is a current context, or an error"
    # As kubectl does: a cluster on this machine (kind, `kubectl proxy`) is never asked through a proxy.
    outside = urlsplit(config.cluster.server).hostname not in LOOPBACK
    timeout = httpx2.Timeout(TIMEOUT_S)
    return Client(config, namespace, field_manager=MANAGER, timeout=timeout, trust_env=outside), kinds


def _credentials(context: str | None) -> KubeConfig:
    """As kubectl looks for them, but for the order: a file that ``KUBECONFIG`` names counts inside of pods too."""
    from lightkube import KubeConfig

    named = [path for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    if len(named) > 1:
        raise ConfigError(f"KUBECONFIG names {len(named)} files; name one")
    if named or context:
        return KubeConfig.from_file(named[0] if named else "~/.kube/config")
    return KubeConfig.from_env()


def _plain(resource: Any) -> Resource:
    """A resource as the mapping that it is in JSON."""
    plain: Resource = resource.to_dict()
    return plain
