"""What new workers download before their replicas start: lists in ConfigMaps that follow the Serve configuration.

A ConfigMap counts if an init container of a worker group takes its environment from it and it has the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from deployments.cluster.preload_key import PRELOAD as KEY
from deployments.operator.document import Document
from deployments.operator.kube.api import ATTEMPTS, ChangedError, KubeApi, MissingError, Resource
from deployments.operator.kube.standing import Standing
from models.errors import UnavailableError

__all__ = ["KEY", "follow", "following", "lacking", "lists", "served"]


def served(document: Document) -> list[str]:
    """The versions of the catalogue that a configuration's encoders load, in its order."""
    deployments = [deployment for app in document["applications"] for deployment in app.get("deployments", ())]
    named = [str((deployment.get("user_config") or {}).get("artifact", "")) for deployment in deployments]
    return list(dict.fromkeys(name for name in named if "@" in name))


def following(listed: list[str], before: list[str], now: list[str]) -> list[str]:
    """A list after a change: without what is no longer served, with all that is; what else somebody put there stays."""
    kept = [name for name in listed if name in now or name not in before]
    return [*kept, *lacking(kept, now)]


def lacking(listed: list[str], now: list[str]) -> list[str]:
    """What is served and not listed, neither as ``name@version`` nor with all versions of the name."""
    return [name for name in now if name not in listed and name.partition("@")[0] not in listed]


def follow(api: KubeApi, before: Document, read: Callable[[], Resource], where: str) -> None:
    """Bring the lists to what a RayService says, also if others change it or the lists meanwhile.

    Args:
        api: the namespace.
        before: the configuration before the change.
        read: gives the RayService as it is.
        where: names it in errors.

    Raises:
        EmbedserveError: a list may not be written, or others kept on writing.
    """
    for _ in range(ATTEMPTS):
        resource = read()
        now = served(Standing.of(resource).document(where))
        wrote = False
        for name, held in lists(api, resource):
            listed = held["data"][KEY].split()
            wanted = following(listed, served(before), now)
            if wanted == listed:
                continue
            wrote = True
            version = {"resourceVersion": held["metadata"]["resourceVersion"]}
            try:
                api.merge("ConfigMap", name, {"metadata": version, "data": {KEY: " ".join(wanted)}})
            except ChangedError:
                continue
        if not wrote:
            return
    raise UnavailableError("it is written by others all the time")


def lists(api: KubeApi, resource: Resource) -> Iterator[tuple[str, Resource]]:
    """The ConfigMaps with a list, by name."""
    for name in dict.fromkeys(_named(resource)):
        try:
            held = api.get("ConfigMap", name)
        except MissingError:
            continue
        if (held.get("data") or {}).get(KEY):
            yield name, held


def _named(resource: Resource) -> Iterator[str]:
    cluster: dict[str, Any] = (resource.get("spec") or {}).get("rayClusterConfig") or {}
    for group in cluster.get("workerGroupSpecs") or ():
        for container in ((group.get("template") or {}).get("spec") or {}).get("initContainers") or ():
            for source in container.get("envFrom") or ():
                if name := (source.get("configMapRef") or {}).get("name"):
                    yield str(name)
