"""Which metrics alerts and dashboards read, for tests that look whether a running service has them."""

from __future__ import annotations

import json
import re

import yaml

from tests.k8s.tools import K8S

METRIC = re.compile(r"\b(?:ray|haproxy)_[a-z_]+")
ONLY_WITH_GPU = {"ray_node_gram_used", "ray_node_gram_available", "ray_node_gpus_utilization"}


def dashboard_queries() -> list[str]:
    """Every query of the dashboard."""
    dashboard = json.loads((K8S / "monitoring" / "dashboard.json").read_text(encoding="utf-8"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def alert_queries() -> list[str]:
    """Every expression of the alerts."""
    spec = yaml.safe_load((K8S / "monitoring" / "rules.yaml").read_text(encoding="utf-8"))["spec"]
    return [rule["expr"] for group in spec["groups"] for rule in group["rules"]]


def used() -> set[str]:
    """The metrics as Prometheus names them, with ``_bucket`` and the like."""
    return {name for query in (*dashboard_queries(), *alert_queries()) for name in METRIC.findall(query)}
