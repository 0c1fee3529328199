"""What a RayService's status says, in the terms in which Serve itself reports; and what keeps a change from reaching Serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deployments.cluster.applications import main_deployments
from deployments.config.names import application_name
from deployments.config.routes import shares
from deployments.operator.document import Document, gateway
from deployments.operator.served import Entry


def obstacle(service: Mapping[str, Any]) -> str:
    """Why KubeRay would not hand a new configuration to the serving cluster now; empty when it would."""
    status = service.get("status") or {}
    raised = {entry["type"]: entry for entry in status.get("conditions") or [] if entry.get("status") == "True"}
    if (service.get("spec") or {}).get("suspend") or "Suspending" in raised or "Suspended" in raised:
        return "it is suspended (spec.suspend)"
    if "RollbackInProgress" in raised or "UpgradeInProgress" in raised:
        return (
            "KubeRay upgrades it to a new cluster now, and hands configurations to the new one only; wait until the "
            "condition UpgradeInProgress is False"
        )
    if manager := (service.get("spec") or {}).get("managedBy", "").replace("ray.io/kuberay-operator", ""):
        return f"{manager} manages it, not KubeRay"
    return ""


def details(service: Mapping[str, Any], document: Document, fresh: bool) -> dict[str, Any]:
    """The status as Serve's REST API would give it, as far as KubeRay repeats it.

    Args:
        service: the RayService.
        document: its Serve configuration; the largest number of replicas stands in for the present one, which KubeRay
            does not say.
        fresh: whether KubeRay has looked at Serve since it submitted the configuration. Before that, a failure may
            be the earlier configuration's.
    """
    said = _applications(service)
    apps = {app["name"]: app for app in document["applications"]}
    reported = {}
    for name, state in said.items():
        status = str(state.get("status") or "NOT_STARTED")
        reported[name] = {
            "status": "DEPLOYING" if status == "DEPLOY_FAILED" and not fresh else status,
            "message": _message(state),
            "source": "declarative",
            "deployments": {d["name"]: {"replicas": [None] * _most(d)} for d in _deployments(apps.get(name))},
        }
    return {"applications": reported}


def entries(service: Mapping[str, Any], document: Document) -> list[Entry]:
    """Versions as far as KubeRay knows them: whether their applications run, but neither hashes nor replicas."""
    said = _applications(service)
    found = []
    for model, table in gateway(document)["models"].items():
        for version, share in shares(table["versions"]).items():
            state = said.get(application_name(model, version), {})
            running = state.get("status") == "RUNNING"
            found.append(
                {
                    "id": f"{model}@{version}",
                    "share": share,
                    "state": "ready" if running else str(state.get("status") or "not deployed").lower(),
                    "reason": None if running else _message(state) or None,
                    "hash": None,
                    "replicas": 1 if running else 0,
                }
            )
    return found


def _applications(service: Mapping[str, Any]) -> dict[str, Any]:
    active = (service.get("status") or {}).get("activeServiceStatus") or {}
    return dict(active.get("applicationStatuses") or {})


def _message(state: Mapping[str, Any]) -> str:
    deployments = (state.get("serveDeploymentStatuses") or {}).values()
    return "\n".join(text for text in (state.get("message"), *(d.get("message") for d in deployments)) if text)


def _deployments(app: dict[str, Any] | None) -> list[dict[str, Any]]:
    return main_deployments(app) if app else []


def _most(deployment: Mapping[str, Any]) -> int:
    scaling = deployment.get("autoscaling_config") or {}
    fixed = deployment.get("num_replicas")
    return int(scaling.get("max_replicas") or (fixed if isinstance(fixed, int) else 1))
