"""What is an operator's own in the monitoring, he says in one small file outside of this repository."""

from __future__ import annotations

import yaml

from tests.k8s.tools import K8S, built, kustomize

OWN = {"release": "prometheus", "runbooks": "https://wiki.shop.example/embeddings", "kuberay": "ray-system"}


def settings(**data):
    local = {"config.kubernetes.io/local-config": "true"}
    metadata = {"name": "embedserve-monitoring", "annotations": local}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def operators_folder(tmp_path):
    """As docs/operations.md shows it; kustomize takes paths relative to the folder alone."""
    folder = tmp_path / "own"
    folder.mkdir()
    (tmp_path / "embedserve").symlink_to(K8S.parent)
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings(**OWN)), encoding="utf-8")
    monitoring = "../embedserve/k8s/monitoring"
    document = {"resources": [f"{monitoring}/objects", "settings.yaml"], "components": [f"{monitoring}/settings"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return kustomize(folder)


def alerts(resources):
    groups = [group for r in resources if r["kind"] == "PrometheusRule" for group in r["spec"]["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def of_prometheus(resources):
    return [r for r in resources if r["kind"] in ("PodMonitor", "PrometheusRule")]


def test_an_operators_release_runbooks_and_kuberay_reach_every_object(tmp_path):
    resources = operators_folder(tmp_path)
    assert {r["metadata"]["labels"]["release"] for r in of_prometheus(resources)} == {OWN["release"]}
    assert len(of_prometheus(resources)) == 5
    assert {rule["annotations"]["runbook_url"].split("#")[0] for rule in alerts(resources)} == {OWN["runbooks"]}
    (operator,) = [r for r in resources if r["metadata"]["name"] == "kuberay-operator"]
    assert operator["spec"]["namespaceSelector"]["matchNames"] == [OWN["kuberay"]]


def test_as_it_is_the_kube_prometheus_stack_takes_it_up_by_its_default():
    resources = built("monitoring")
    assert {r["metadata"]["labels"]["release"] for r in of_prometheus(resources)} == {"kube-prometheus-stack"}
    assert {rule["annotations"]["runbook_url"].split("://")[0] for rule in alerts(resources)} == {"https"}


def test_the_settings_are_not_applied_to_a_cluster():
    assert "embedserve-monitoring" not in {r["metadata"]["name"] for r in built("monitoring")}
