"""What operators ask about a RayService: is it well, who changed it last, and does Serve run what it says?"""

from __future__ import annotations

from deployments.operator import lock
from deployments.operator.document import Document
from deployments.operator.drift import drift, drift_of_versions
from deployments.operator.kube.api import Resource
from deployments.operator.kube.change_note import ChangeNote
from deployments.operator.kube.service import KubeService
from deployments.operator.kube.status import obstacle
from deployments.operator.service import RunningService
from models.errors import EmbedserveError


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
    return [*lines, *_drift(service, document, dashboard)]


def _seen(resource: Resource, status: Resource) -> str:
    behind = resource["metadata"].get("generation", 0) - (status.get("observedGeneration") or 0)
    return "KubeRay has seen its last change" if behind <= 0 else "KubeRay has not seen its last change yet"


def _drift(service: KubeService, document: Document, dashboard: str | None) -> list[str]:
    try:
        if dashboard:
            found = drift(document, RunningService(dashboard).read())
        elif service.url(document):
            found = drift_of_versions(document, service.versions(document))
        else:
            return ["drift: not known here; --url or --dashboard says where to ask what is served"]
    except EmbedserveError as error:
        return [f"drift: not known: {error}"]
    if not found:
        return ["drift: none, the manifest is what is served"]
    return ["drift: what is served is not what the manifest says", *(f"  {line}" for line in found)]
