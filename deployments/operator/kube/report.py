"""What operators ask about a RayService: is it well, who changed it last, and does Serve run what it says?"""

from __future__ import annotations

from deployments.operator import lock
from deployments.operator.document import Document
from deployments.operator.drift import drift, drift_of_versions
from deployments.operator.kube import preload
from deployments.operator.kube.api import Resource
from deployments.operator.kube.change_note import ChangeNote
from deployments.operator.kube.service import KubeService
from deployments.operator.kube.status import obstacle
from deployments.operator.service import RunningService
from models.errors import EmbedserveError, UnavailableError


def report(service: KubeService, dashboard: str | None) -> list[str]:
    """The state of a RayService, in lines.

    Args:
        service: the RayService.
        dashboard: of its Ray, where this machine reaches it: all of the configuration is compared then, otherwise
            what the gateway says of itself.

    Raises:
        EmbedserveError: Kubernetes does not answer.
    """
    resource = service.resource()
    document = service.read()
    status = resource.get("status") or {}
    ready: Resource = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), {})
    lines = [f"{service.where}: {'ready' if ready.get('status') == 'True' else 'not ready'}, {_seen(resource, status)}"]
    if reason := obstacle(resource):
        lines.append(f"takes no change now: {reason}")
    note = ChangeNote.read(resource["metadata"].get("annotations"))
    lines.append(f"last change: {lock.last_change(document)}{f' (revision {note.revision})' if note else ''}")
    return [*lines, *_preload(service, resource, document), *_drift(service, document, dashboard)]


def _seen(resource: Resource, status: Resource) -> str:
    behind = resource["metadata"].get("generation", 0) - (status.get("observedGeneration") or 0)
    return "KubeRay has seen its last change" if behind <= 0 else "KubeRay has not seen its last change yet"


def _preload(service: KubeService, resource: Resource, document: Document) -> list[str]:
    """What new workers would have to fetch while they start."""
    try:
        lists = list(preload.lists(service.api, resource))
    except EmbedserveError as error:
        return [f"preload: not known: {error}"]
    now = preload.served(document)
    missing = {name: preload.lacking(held["data"][preload.KEY].split(), now) for name, held in lists}
    return [
        f"preload: ConfigMap {name} lacks {', '.join(lacking)}; new workers fetch that when a replica needs it"
        for name, lacking in missing.items()
        if lacking
    ]


def compared(service: KubeService, document: Document, dashboard: str | None) -> list[str]:
    """The lines in which what is served differs from a RayService's configuration; none where it does not.

    Raises:
        EmbedserveError: nobody who knows what is served can be asked.
    """
    if dashboard:
        return drift(document, RunningService(dashboard).read())
    if not service.url(document):
        raise UnavailableError("--url or --dashboard says where to ask what is served")
    return drift_of_versions(document, service.versions(document))


def _drift(service: KubeService, document: Document, dashboard: str | None) -> list[str]:
    try:
        found = compared(service, document, dashboard)
    except EmbedserveError as error:
        return [f"drift: not known: {error}"]
    if not found:
        return ["drift: none, the manifest is what is served"]
    return ["drift: what is served is not what the manifest says", *(f"  {line}" for line in found)]
