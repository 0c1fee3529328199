"""Whether a Serve belongs to a RayService, whose configuration KubeRay submits again and again.

KubeRay makes a RayCluster named after the RayService and five random characters; Serve reports the names of its pods as
instance ids. Inside those pods KubeRay's own variables say the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from models.errors import ConfigError

RANDOM = "[bcdfghjklmnpqrstvwxz2456789]{5}"  # what Kubernetes makes random names of
POD = re.compile(rf"(?P<service>.+)-{RANDOM}-(?:head|.+-worker)-{RANDOM}")
CLUSTER = re.compile(rf"(?P<service>.+)-{RANDOM}")


def owner(details: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> str | None:
    """The name of the RayService that a Serve belongs to; none where it seems to belong to nobody.

    Args:
        details: what Serve's REST API reports.
        environment: of this process, which may run in one of the pods.
    """
    nodes = [details.get("controller_info") or {}, *(details.get("proxies") or {}).values()]
    for node in nodes:
        if found := POD.fullmatch(str(node.get("node_instance_id") or "")):
            return found["service"]
    of_service = "kuberay_crd=RayService" in environment.get("RAY_USAGE_STATS_EXTRA_TAGS", "").split(";")
    # Workers get no tags; of a cluster's three kinds of owner only a RayService sets this one.
    of_service |= {"RAY_USAGE_STATS_KUBERAY_IN_USE", "RAY_TIMEOUT_MS_TASK_WAIT_FOR_DEATH_INFO"} <= environment.keys()
    if not of_service:
        return None
    found = CLUSTER.fullmatch(environment.get("RAY_CLUSTER_NAME", ""))
    return found["service"] if found else environment.get("RAY_CLUSTER_NAME", "embedserve")


def require_ours(
    details: Mapping[str, Any], environment: Mapping[str, str] = os.environ, instead: str | None = None
) -> None:
    """Refuse to change a Serve that KubeRay would change back.

    Args:
        details: what Serve's REST API reports.
        environment: of this process.
        instead: what to do, where it is not the same command with ``--kube``.

    Raises:
        ConfigError: names the RayService and ``--kube``.
    """
    if name := owner(details, environment):
        instead = instead or f"`--kube --rayservice {name}` changes the RayService"
        raise ConfigError(
            f"this Serve belongs to the RayService {name!r}: KubeRay submits that object's configuration again whenever "
            f"its operator restarts, and a change made here would be gone. {instead[0].upper()}{instead[1:]}; --no-kube "
            "changes Serve all the same, until KubeRay next looks"
        )
