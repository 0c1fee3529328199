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
from deployments.operator.kube.events import announce
from deployments.operator.lock import new_claim
from models.errors import ConfigError, EmbedserveError, UnavailableError

PATHS = {"RayService": "/spec/rayClusterConfig/workerGroupSpecs", "RayCluster": "/spec/workerGroupSpecs"}
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


@dataclass(frozen=True)
class Edit:
    """JSON patches of one object, there and back."""

    kind: str
    name: str
    there: list[Resource]
    back: list[Resource]


def scale(api: KubeApi, name: str, wanted: list[Bounds]) -> list[str]:
    """Change the bounds, everywhere or nowhere.

    Args:
        api: the namespace.
        name: of the RayService.
        wanted: the groups to change.

    Returns:
        A line for each object that changed, and one where no Event could be made.

    Raises:
        ConfigError: there is no such group.
        EmbedserveError: Kubernetes refuses it; what was changed before is changed back.
    """
    service = api.get("RayService", name)
    status = service.get("status") or {}
    states = [status.get(key) or {} for key in ("activeServiceStatus", "pendingServiceStatus")]
    clusters = [str(state["rayClusterName"]) for state in states if state.get("rayClusterName")]
    # All is read, and refused if it does not fit, before anything is written.
    edits = [Edit("RayService", name, *_edit(service, PATHS["RayService"], wanted))]
    for cluster in clusters:
        found = api.get("RayCluster", cluster)
        edits.append(Edit("RayCluster", cluster, *_edit(found, PATHS["RayCluster"], wanted)))
    lines = _apply(api, edits, wanted)
    return [*lines, *_announced(api, service, wanted)] if any(edit.there for edit in edits) else lines


def _apply(api: KubeApi, edits: list[Edit], wanted: list[Bounds]) -> list[str]:
    undo: list[Edit] = []
    lines = []
    for edit in edits:
        try:
            if edit.there:
                api.edit(edit.kind, edit.name, edit.there)
        except EmbedserveError as error:
            if not _stands(api, edit, wanted):
                unknown = [edit] if isinstance(error, UnavailableError) else []
                raise ClusterError(f"{error}; {_undone(api, [*undo, *unknown])}") from error
        undo += [edit] if edit.there else []
        lines.append(f"{edit.kind} {edit.name}: {'changed' if edit.there else 'as it was'}")
    return lines


def _announced(api: KubeApi, service: Resource, wanted: list[Bounds]) -> list[str]:
    """Make an Event that says who did it; a line where that cannot be, and the change stands."""
    command = " ".join(["scale", *(f"--workers {bounds.group}={bounds.low}:{bounds.high}" for bounds in wanted)])
    try:
        announce(api, service, f"{new_claim(command, 0)}: done", failed=False)
    except EmbedserveError as error:
        return [f"no Event was made: {error}"]
    return []


def _stands(api: KubeApi, edit: Edit, wanted: list[Bounds]) -> bool:
    """Whether an object has the bounds, although its API server did not say so: only the answer was lost."""
    try:
        return not _edit(api.get(edit.kind, edit.name), PATHS[edit.kind], wanted)[0]
    except EmbedserveError:
        return False


def _undone(api: KubeApi, undo: list[Edit]) -> str:
    """Change everything back, the last first, and say what came of it."""
    left = []
    for edit in reversed(undo):
        try:
            api.edit(edit.kind, edit.name, edit.back)
        except ClusterError:  # its tests failed: it has not the new bounds
            continue
        except EmbedserveError as error:
            left.append(f"{edit.kind} {edit.name} may have the new bounds, and could not be changed back: {error}")
    return "; ".join(left) or "nothing is changed"


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
