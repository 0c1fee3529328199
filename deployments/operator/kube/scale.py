"""Bounds of worker groups, in a RayService and in the RayClusters that run now.

KubeRay leaves the bounds out of the hash by which it notices a changed cluster: a change in the RayService alone reaches
the next cluster only, and one in the RayCluster alone ends with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from deployments.cluster.serve_api import ClusterError
from deployments.operator.kube.api import KubeApi, Resource
from models.errors import ConfigError, EmbedserveError

PAIR = re.compile(r"(?P<group>[^=]+)=(?P<low>\d+):(?P<high>\d+)")


@dataclass(frozen=True)
class Bounds:
    """How few and how many workers a group has."""

    group: str
    low: int
    high: int

    @classmethod
    def parse(cls, text: str) -> Bounds:
        """``GROUP=MIN:MAX``.

        Raises:
            ConfigError: it is not of that form, or its minimum above its maximum.
        """
        found = PAIR.fullmatch(text)
        if found is None or int(found["low"]) > int(found["high"]):
            raise ConfigError(f"--workers must be GROUP=MIN:MAX with MIN up to MAX, such as cpu=2:8, not {text!r}")
        return cls(found["group"], int(found["low"]), int(found["high"]))


def scale(api: KubeApi, name: str, wanted: list[Bounds]) -> list[str]:
    """Change the bounds, everywhere or nowhere.

    Args:
        api: the namespace.
        name: of the RayService.
        wanted: the groups to change.

    Returns:
        A line for each object that changed.

    Raises:
        ConfigError: there is no such group.
        EmbedserveError: Kubernetes refuses it; what was changed before is changed back.
    """
    service = api.get("RayService", name)
    status = service.get("status") or {}
    states = [status.get(key) or {} for key in ("activeServiceStatus", "pendingServiceStatus")]
    clusters = [str(state["rayClusterName"]) for state in states if state.get("rayClusterName")]
    # All is read, and refused if it does not fit, before anything is written.
    edits = [("RayService", name, *_edit(service, "/spec/rayClusterConfig/workerGroupSpecs", wanted))]
    for cluster in clusters:
        edits.append(("RayCluster", cluster, *_edit(api.get("RayCluster", cluster), "/spec/workerGroupSpecs", wanted)))
    undo: list[tuple[str, str, list[Resource]]] = []
    lines = []
    try:
        for kind, target, forth, back in edits:
            if forth:
                api.edit(kind, target, forth)
                undo.append((kind, target, back))
            lines.append(f"{kind} {target}: {'changed' if forth else 'as it was'}")
    except EmbedserveError as error:
        for kind, target, back in reversed(undo):
            api.edit(kind, target, back)
        raise ClusterError(f"{error}; nothing is changed") from error
    return lines


def _edit(resource: Resource, path: str, wanted: list[Bounds]) -> tuple[list[Resource], list[Resource]]:
    """JSON patches there and back, which apply only while the groups are what was read."""
    groups: Any = resource
    for key in path.split("/")[1:]:
        groups = groups.get(key) or {}
    there: list[Resource] = []
    back: list[Resource] = []
    for bounds in wanted:
        at = next((number for number, group in enumerate(groups) if group["groupName"] == bounds.group), None)
        if at is None:
            names = ", ".join(group["groupName"] for group in groups)
            where = f"{resource.get('kind')} {resource['metadata']['name']}"
            raise ConfigError(f"{where} has no worker group {bounds.group!r}; there are: {names}")
        for key, value in (("minReplicas", bounds.low), ("maxReplicas", bounds.high)):
            place, old = f"{path}/{at}/{key}", groups[at].get(key)
            if old == value:
                continue
            test = {"op": "test", "path": f"{path}/{at}/groupName", "value": bounds.group}
            before = [{"op": "test", "path": place, "value": old}] if old is not None else []
            there += [test, *before, {"op": "add", "path": place, "value": value}]
            undone = {"op": "add", "path": place, "value": old} if old is not None else {"op": "remove", "path": place}
            back += [test, {"op": "test", "path": place, "value": value}, undone]
    return there, back
