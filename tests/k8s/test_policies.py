"""What no schema can know: switches, draining, sizes and versions agree with the rest of the project."""

from __future__ import annotations

import re

import pytest

from deployments.serve_internals.settings import SWITCHES
from tests.k8s.tools import ROOT, built, containers, environment, everywhere, only, pods, serve_config, service

GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


@everywhere
def test_the_heads_service_has_the_ports_that_workers_and_kuberay_connect_to(folder):
    ports = {p["name"]: p["containerPort"] for p in pods(service(folder))["head"]["spec"]["containers"][0]["ports"]}
    wanted = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "serve": 8000, "metrics": 8080}
    assert wanted.items() <= ports.items()


@everywhere
def test_head_and_every_worker_have_the_same_switches_as_make_run(folder):
    for name, template in pods(service(folder)).items():
        variables = environment(template["spec"]["containers"][0])
        assert {key: variables.get(key) for key in SWITCHES} == SWITCHES, name


@everywhere
def test_a_pod_lives_until_its_node_has_drained_and_drains_until_its_replicas_have_stopped(folder):
    stops = [
        d.get("graceful_shutdown_timeout_s", 20)
        for app in serve_config(folder).applications()
        for d in app["deployments"]
    ]
    for template in pods(service(folder)).values():
        container = template["spec"]["containers"][0]
        before = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
        drain = float(environment(container)["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
        assert drain > max(stops)
        assert template["spec"]["terminationGracePeriodSeconds"] >= before + drain + 30


@everywhere
def test_autoscaler_v2_is_on_and_pods_are_replaced_instead_of_restarted(folder):
    cluster = service(folder)["spec"]["rayClusterConfig"]
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["autoscalerOptions"]["version"] == "v2"
    assert {template["spec"]["restartPolicy"] for template in pods(service(folder)).values()} == {"Never"}


@everywhere
def test_kuberays_probes_are_left_alone(folder):
    for template in pods(service(folder)).values():
        for container in containers(template):
            assert not {"livenessProbe", "readinessProbe", "startupProbe"} & set(container)


@everywhere
def test_workers_pull_every_model_that_is_served_under_the_profile_that_is_served(folder):
    config = serve_config(folder)
    (profile,) = config.profiles
    for name, template in pods(service(folder)).items():
        if name != "head":
            command = template["spec"]["initContainers"][0]["command"]
            assert command[:5] == ["embedserve", "models", "pull", "--profile", profile]
            assert set(config.artifacts()) <= set(command[5:])


@everywhere
def test_every_replica_fits_on_some_node(folder):
    cluster = service(folder)["spec"]["rayClusterConfig"]
    nodes = []
    for group in cluster["workerGroupSpecs"]:
        limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
        cpus = float(group["rayStartParams"].get("num-cpus", limits.get("cpu", 0)))
        nodes.append((cpus, float(limits.get("nvidia.com/gpu", 0))))
    for app in serve_config(folder).applications():
        for deployment in app["deployments"]:
            options = deployment["ray_actor_options"]
            wanted = options.get("num_cpus", 1), options.get("num_gpus", 0)
            assert any(wanted[0] <= cpus and wanted[1] <= gpus for cpus, gpus in nodes), deployment["name"]


@everywhere
def test_selectors_of_budgets_spread_and_network_match_the_pods(folder):
    labels = {name: template["metadata"]["labels"] for name, template in pods(service(folder)).items()}
    for resource in built(folder):
        if resource["kind"] == "PodDisruptionBudget":
            wanted = resource["spec"]["selector"]["matchLabels"].items()
            assert [name for name, found in labels.items() if wanted <= found.items()] != []
            assert isinstance(resource["spec"]["minAvailable"], int)
    for name, template in pods(service(folder)).items():
        for spread in template["spec"].get("topologySpreadConstraints", []):
            assert spread["labelSelector"]["matchLabels"].items() <= labels[name].items()


@pytest.mark.parametrize("folder", ["overlays/gpu", "overlays/ha-gpu"])
def test_gpu_pods_tolerate_the_taint_and_one_of_them_is_always_there(folder):
    cluster = service(folder)["spec"]["rayClusterConfig"]
    group = next(group for group in cluster["workerGroupSpecs"] if group["groupName"] == "gpu")
    assert group["minReplicas"] >= 1
    assert group["template"]["spec"]["tolerations"] == [GPU_TAINT]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"


@everywhere
def test_cpu_pods_do_not_tolerate_the_gpu_taint(folder):
    for name in ("head", "cpu"):
        assert "tolerations" not in pods(service(folder))[name]["spec"]


@pytest.mark.parametrize("folder", ["overlays/ha", "overlays/ha-gpu"])
def test_high_availability_survives_the_loss_of_the_head_or_of_one_node(folder):
    spec = service(folder)["spec"]
    assert spec["upgradeStrategy"]["type"] == "NewClusterWithIncrementalUpgrade"
    cluster = spec["rayClusterConfig"]
    assert cluster["gcsFaultToleranceOptions"]["redisAddress"] == "redis:6379"
    budget = only(built(folder), "PodDisruptionBudget", "embedserve-cpu")["spec"]["minAvailable"]
    group = next(group for group in cluster["workerGroupSpecs"] if group["groupName"] == "cpu")
    assert group["minReplicas"] > budget >= 2
    command = only(built(folder), "StatefulSet")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--requirepass" in command


@everywhere
def test_the_upgrade_strategy_is_one_that_kuberay_knows(folder):
    known = {"NewCluster", "NewClusterWithIncrementalUpgrade", "None"}  # its definition takes any text
    assert service(folder)["spec"]["upgradeStrategy"]["type"] in known


def test_the_cluster_runs_the_locked_version_of_ray():
    for kind in ("cpu", "gpu"):
        text = (ROOT / "requirements" / f"{kind}.txt").read_text(encoding="utf-8")
        (locked,) = re.findall(r"^ray==(\S+)", text, re.MULTILINE)
        assert service("base")["spec"]["rayClusterConfig"]["rayVersion"] == locked
