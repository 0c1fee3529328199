"""The dashboard is one that Grafana understands, and Prometheus understands its queries."""

from __future__ import annotations

import functools
import json
import re
import subprocess

import pytest
import yaml

from tests.k8s import metrics
from tests.k8s.tools import K8S, ROOT, require

FILE = K8S / "monitoring" / "objects" / "dashboard.json"
VARIABLES = {
    "$__rate_interval": "5m",
    "$namespace": ".*",
    "$model": ".*",
    "$version": ".*",
    "$first": "1",
    "$second": "2",
}


def dashboard():
    return json.loads(FILE.read_text(encoding="utf-8"))


def lost(given, kept, path="$"):
    """What a reader of the schema did not keep: fields that it does not know."""
    if isinstance(given, dict):
        return [
            problem
            for key, value in given.items()
            for problem in (lost(value, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"])
        ]
    if isinstance(given, list):
        return [p for i, (a, b) in enumerate(zip(given, kept, strict=True)) for p in lost(a, b, f"{path}[{i}]")]
    return [] if given == kept else [path]


def read_by_grafanas_types(document):
    models = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason="grafana-foundation-sdk is missing")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins

    register_default_plugins()
    return json.loads(json.dumps(models.Dashboard.from_json(document), cls=JSONEncoder))


def test_grafanas_own_types_know_every_field():
    assert lost(dashboard(), read_by_grafanas_types(dashboard())) == []


def test_an_unknown_field_is_noticed():
    broken = dashboard()
    broken["panels"][1]["targetz"] = []
    assert lost(broken, read_by_grafanas_types(broken)) == ["$.panels[1].targetz"]


def test_prometheus_understands_every_query(tmp_path):
    rules = []
    for number, query in enumerate(metrics.dashboard_queries()):
        filled = functools.reduce(lambda text, item: text.replace(*item), VARIABLES.items(), query)
        rules.append({"record": f"query:{number}", "expr": filled})
    (tmp_path / "queries.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "q", "rules": rules}]}), encoding="utf-8"
    )
    command = [require("promtool", "Debian package prometheus"), "check", "rules", "--no-lint-fatal", "queries.yaml"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_panels_have_their_own_numbers_and_do_not_overlap():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in own) < 24
        assert not own & cells, panel["title"]
        cells |= own


def test_what_recording_rules_record_is_all_that_queries_read():
    recorded = {rule["record"] for rule in metrics.rules() if "record" in rule}
    queries = (*metrics.dashboard_queries(), *metrics.alert_queries())
    assert {name for query in queries for name in re.findall(r"slo:[a-z_]+:[a-z0-9_]+", query)} == recorded


def test_what_is_read_of_kuberay_is_what_its_operator_exports():
    used = {name for name in metrics.used() if name.startswith("kuberay_")}
    assert used == set(metrics.KUBERAY)
    for query in metrics.alert_queries():
        for name, matchers in re.findall(r"(kuberay_\w+)\{([^}]*)\}", query):
            assert set(metrics.MATCHER.findall(matchers)) <= metrics.KUBERAY[name]


def test_variables_that_queries_use_are_defined():
    defined = {variable["name"] for variable in dashboard()["templating"]["list"]}
    assert {name for q in metrics.dashboard_queries() for name in re.findall(r"\$([a-z]+)", q)} <= defined


@pytest.mark.parametrize("metric", sorted(metrics.used()))
def test_operations_md_lists(metric):
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    base = metric.removeprefix("ray_").removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
    assert f"`{base.removesuffix('_total')}" in text
