"""Which metrics alerts and dashboards read, for tests that look whether a running service has them."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from tests.k8s.tools import K8S

OBJECTS = K8S / "monitoring" / "objects"
METRIC = re.compile(r"(?<![\w:])(?:ray|haproxy|kuberay|embedserve)_[a-z_]+")
SELECTOR = re.compile(r"(?<![\w:])((?:ray|haproxy|embedserve)_[a-z_]+)\{([^}]*)\}")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
BY_PROMETHEUS = {"namespace", "pod", "node_group", "ray_io_cluster"}  # labels that it adds, not whoever exports
ONLY_WITH_GPU = {"ray_node_gram_used", "ray_node_gram_available", "ray_node_gpus_utilization"}
# As KubeRay 1.7's operator exports them (ray-operator/controllers/ray/metrics), with their labels.
KUBERAY = {
    "kuberay_service_info": {"name", "namespace"},
    "kuberay_service_condition_ready": {"name", "namespace", "condition"},
    "kuberay_service_condition_upgrade_in_progress": {"name", "namespace", "condition"},
    "kuberay_cluster_condition_provisioned": {"name", "namespace", "condition"},
}
# tests/deployments/operator/kube/test_drift_gauge.py finds the two of components/drift
ONLY_WITH_KUBERAY = {*KUBERAY, "embedserve_manifest_drift", "embedserve_manifest_compared_timestamp_seconds"}
ONLY_WITH_SHARED_CACHE = {"ray_embedserve_shared_cache_up"}  # tests/integration/connected/test_shared_cache.py finds it

# A reference takes 2,000 inputs and more than eight minutes; test_metrics.py beside them knows their names and labels.
ONLY_AFTER_A_REFERENCE = {"ray_embedserve_input_drift", "ray_embedserve_embedding_drift"}


def dashboard_queries() -> list[str]:
    """Every query of the dashboard."""
    dashboard = json.loads((OBJECTS / "dashboard.json").read_text(encoding="utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def rules() -> list[dict[str, Any]]:
    """The recording rules, then the alerts."""
    files = [yaml.safe_load((OBJECTS / name).read_text(encoding="utf-8")) for name in ("slo.yaml", "rules.yaml")]
    return [rule for file in files for group in file["spec"]["groups"] for rule in group["rules"]]


def alert_queries() -> list[str]:
    """Every expression of the alerts, and of the rules that they build on."""
    return [rule["expr"] for rule in rules()]


def used() -> set[str]:
    """The metrics as Prometheus names them, with ``_bucket`` and the like."""
    return {name for query in (*dashboard_queries(), *alert_queries()) for name in METRIC.findall(query)}


def selected() -> dict[str, set[str]]:
    """The labels by which queries choose among the series of each metric; those that Prometheus adds are left out."""
    found: dict[str, set[str]] = {}
    for query in (*dashboard_queries(), *alert_queries()):
        for name, matchers in SELECTOR.findall(query):
            found.setdefault(name, set()).update(set(MATCHER.findall(matchers)) - BY_PROMETHEUS)
    return found
