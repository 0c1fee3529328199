"""Kubernetes Events about a RayService: `kubectl describe rayservice` shows what operators did."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from deployments.operator.kube.api import MANAGER, ChangedError, KubeApi, Resource

LONGEST = 1000  # characters; Kubernetes takes 1024 of a message


def announce(api: KubeApi, resource: Resource, message: str, *, failed: bool) -> None:
    """Make an Event.

    Raises:
        EmbedserveError: it could not be made; what it is about stands all the same.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    about = resource["metadata"]
    event = {
        "metadata": {"name": f"{about['name']}.{uuid.uuid4().hex[:16]}", "namespace": api.namespace},
        "involvedObject": {
            "apiVersion": "ray.io/v1",
            "kind": "RayService",
            "name": about["name"],
            "namespace": api.namespace,
            "uid": about.get("uid"),
            "resourceVersion": about.get("resourceVersion"),
        },
        "reason": "ChangeWentBack" if failed else "Changed",
        "message": message[:LONGEST],
        "type": "Warning" if failed else "Normal",
        "source": {"component": MANAGER},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
    try:
        api.create("Event", event)
    except ChangedError:  # of this name only ours can be there: the answer to its first try was lost
        return
