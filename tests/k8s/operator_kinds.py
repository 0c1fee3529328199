"""The fields of the Prometheus operator's kinds that the manifests use; every other field is an error."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Metadata(Strict):
    name: str
    namespace: str
    labels: dict[str, str]


class Relabeling(Strict):
    action: Literal["replace"]
    source_labels: list[str] = Field(alias="sourceLabels")
    target_label: str = Field(alias="targetLabel")


class Endpoint(Strict):
    port: str
    interval: str = Field(pattern=r"^\d+s$")
    honor_labels: bool = Field(default=False, alias="honorLabels")
    relabelings: list[Relabeling] = []


class Selector(Strict):
    match_labels: dict[str, str] = Field(alias="matchLabels")


class NamespaceSelector(Strict):
    match_names: list[str] = Field(alias="matchNames")


class PodMonitorSpec(Strict):
    namespaces: NamespaceSelector | None = Field(default=None, alias="namespaceSelector")
    selector: Selector
    endpoints: list[Endpoint] = Field(alias="podMetricsEndpoints")


class PodMonitor(Strict):
    api: Literal["monitoring.coreos.com/v1"] = Field(alias="apiVersion")
    kind: Literal["PodMonitor"]
    metadata: Metadata
    spec: PodMonitorSpec


class Alert(Strict):
    alert: str = Field(pattern=r"^Embedserve[A-Za-z0-9]+$")
    expr: str
    wait: str = Field(default="0s", alias="for", pattern=r"^\d+[smh]$")
    labels: dict[Literal["severity"], Literal["warning", "critical"]]
    annotations: dict[Literal["summary", "runbook_url"], str]


class Recording(Strict):
    record: str = Field(pattern=r"^[a-z]+:embedserve_[a-z_]+:[a-z0-9_]+$")
    expr: str
    labels: dict[Literal["slo"], str] = {}


class Group(Strict):
    name: str
    interval: str = Field(default="1m", pattern=r"^\d+[sm]$")
    rules: list[Alert | Recording]


class Rules(Strict):
    groups: list[Group]


class PrometheusRule(Strict):
    api: Literal["monitoring.coreos.com/v1"] = Field(alias="apiVersion")
    kind: Literal["PrometheusRule"]
    metadata: Metadata
    spec: Rules


KINDS: dict[str, type[BaseModel]] = {"PodMonitor": PodMonitor, "PrometheusRule": PrometheusRule}


def check(resource: dict[str, Any]) -> None:
    """Raise where a resource has a field that is unknown or wrong."""
    KINDS[resource["kind"]].model_validate(resource)
