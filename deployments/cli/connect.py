"""The service that a command changes: by Serve's REST API, or by its RayService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.errors import ConfigError

if TYPE_CHECKING:
    from deployments.operator.kube.service import KubeService
    from deployments.operator.target import Target


def connect(
    dashboard: str, url: str | None, kube: bool | None, namespace: str | None, rayservice: str | None
) -> Target:
    """Connect to a service.

    Args:
        dashboard: of Ray; not asked with ``kube``.
        url: of the service; found if left out.
        kube: whether to change the RayService; False changes Serve although a RayService owns it.
        namespace: of the RayService.
        rayservice: its name.

    Raises:
        ConfigError: Serve belongs to a RayService, and ``kube`` was left out.
    """
    if kube:
        return connect_kube(url, namespace, rayservice)
    if namespace or rayservice:
        raise ConfigError("--namespace and --rayservice say which RayService to change: say --kube too")
    from deployments.operator.kuberay import require_ours
    from deployments.operator.service import RunningService

    service = RunningService(dashboard, url)
    if kube is None:
        require_ours(service.details())
    return service


def connect_kube(url: str | None, namespace: str | None, rayservice: str | None) -> KubeService:
    """Connect to a RayService."""
    from deployments.operator.kube.api import KubeApi
    from deployments.operator.kube.service import KubeService

    return KubeService(KubeApi(namespace), rayservice, url)
