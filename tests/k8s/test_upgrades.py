"""What upgrades of a whole cluster stand on: the Gateway that KubeRay shifts traffic with, TLS before it, and its pace."""

from __future__ import annotations

import pytest
import yaml

from tests.k8s.tools import KUBERNETES, built, built_beside, builtin_problem, only, service

SEEN_S = 7 * 60  # a fast burn shows in a window of 5 minutes, and its alert fires after 2 more
HIGHLY_AVAILABLE = pytest.mark.parametrize("folder", ["overlays/ha", "overlays/ha-gpu"])


def upgrade(folder):
    return service(folder)["spec"]["upgradeStrategy"]["clusterUpgradeOptions"]


@HIGHLY_AVAILABLE
def test_the_gateway_is_what_kuberay_would_make_so_that_it_leaves_it_alone(folder):
    """KubeRay compares the class and each listener's name, protocol and port, and replaces the rest where they differ."""
    gateway = only(built(folder), "Gateway")
    assert gateway["metadata"]["name"] == f"{service(folder)['metadata']['name']}-gateway"
    assert gateway["metadata"]["namespace"] == service(folder)["metadata"]["namespace"]
    assert gateway["spec"]["gatewayClassName"] == upgrade(folder)["gatewayClassName"]
    assert gateway["spec"]["listeners"] == [{"name": "http", "protocol": "HTTP", "port": 80}]


@HIGHLY_AVAILABLE
def test_what_is_made_of_the_gateway_passes_the_restricted_policy_stays_inside_and_outlives_a_node(folder):
    reference = only(built(folder), "Gateway")["spec"]["infrastructure"]["parametersRef"]
    assert (reference["group"], reference["kind"]) == ("", "ConfigMap")
    parts = {
        name: yaml.safe_load(text) for name, text in only(built(folder), "ConfigMap", reference["name"])["data"].items()
    }
    assert parts["deployment"]["spec"]["template"]["spec"]["securityContext"]["seccompProfile"] == {
        "type": "RuntimeDefault"
    }
    assert parts["service"]["spec"]["type"] == "ClusterIP"
    assert (
        parts["horizontalPodAutoscaler"]["spec"]["minReplicas"] > parts["podDisruptionBudget"]["spec"]["minAvailable"]
    )
    # Each part is merged into a whole that Istio writes; here into the least that Kubernetes takes.
    selector = {"matchLabels": {"a": "b"}}
    pod = {"containers": [{"name": "istio-proxy", "image": "x:1"}], **parts["deployment"]["spec"]["template"]["spec"]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}
    wholes = [
        ("apps/v1", "Deployment", {"selector": selector, "template": template}),
        ("v1", "Service", {"ports": [{"port": 80}], **parts["service"]["spec"]}),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            {"scaleTargetRef": target, **parts["horizontalPodAutoscaler"]["spec"]},
        ),
        ("policy/v1", "PodDisruptionBudget", {"selector": selector, **parts["podDisruptionBudget"]["spec"]}),
    ]
    for api, kind, spec in wholes:
        assert (
            builtin_problem({"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "spec": spec}, KUBERNETES[0])
            is None
        )


@HIGHLY_AVAILABLE
def test_a_step_of_an_upgrade_waits_for_its_nodes_and_for_the_alerts(folder):
    options = upgrade(folder)
    cold_start_s = service(folder)["spec"]["rayClusterConfig"]["autoscalerOptions"]["idleTimeoutSeconds"]
    assert options["intervalSeconds"] >= cold_start_s + SEEN_S
    # One step for each surge: otherwise traffic moves to what has not been made ready for it.
    assert options["stepSizePercent"] == options["maxSurgePercent"]


@HIGHLY_AVAILABLE
def test_an_upgrade_that_goes_as_planned_is_not_called_stuck_also_where_a_node_is_slow(folder):
    options = upgrade(folder)
    steps_s = (100 / options["stepSizePercent"] - 1) * options["intervalSeconds"]
    groups = service(folder)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    slowest_node_s = max(group.get("idleTimeoutSeconds", 0) for group in groups)
    (group,) = only(built("monitoring"), "PrometheusRule", "embedserve")["spec"]["groups"]
    (stuck,) = [rule["for"] for rule in group["rules"] if rule["alert"] == "EmbedserveUpgradeStuck"]
    amount, unit = int(stuck[:-1]), {"m": 60, "h": 3600}[stuck[-1]]
    assert amount * unit > steps_s + slowest_node_s


def test_tls_stands_before_the_gateway_and_nothing_passes_by_it(tmp_path):
    kustomization = {"resources": ["../ha"], "components": ["../../components/tls-ha"]}
    resources = built_beside(tmp_path, kustomization)
    ingress, gateway = only(resources, "Ingress"), only(resources, "Gateway")
    assert ingress["spec"]["tls"][0]["secretName"]
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    name = f"{gateway['metadata']['name']}-{gateway['spec']['gatewayClassName']}"  # as Istio names its Service
    assert backend == {"name": name, "port": {"number": gateway["spec"]["listeners"][0]["port"]}}
    pods = {"matchLabels": {"gateway.networking.k8s.io/gateway-name": gateway["metadata"]["name"]}}
    replicas = only(resources, "NetworkPolicy", "embedserve-ingress")["spec"]["ingress"]
    assert [rule["from"] for rule in replicas if 8000 in [p["port"] for p in rule.get("ports", [])]] == [
        [{"podSelector": pods}]
    ]
    policy = only(resources, "NetworkPolicy", "embedserve-gateway")
    assert policy["spec"]["podSelector"] == pods
    for resource in (ingress, policy):
        assert builtin_problem(resource, KUBERNETES[0]) is None
    for rule in policy["spec"]["ingress"]:
        if 80 in [port["port"] for port in rule["ports"]]:
            assert rule["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "ingress-nginx"
