"""What no schema can know: switches, draining, sizes and versions agree with the rest of the project."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest

from deployments.serve_internals.settings import SWITCHES
from tests.k8s.tools import (
    OVERLAYS,
    ROOT,
    built,
    containers,
    environment,
    everywhere,
    only,
    pods,
    serve_config,
    service,
)

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
    preload = only(built(folder), "ConfigMap", "embedserve-preload")
    assert preload["data"] == {"EMBEDSERVE_PRELOAD": " ".join(config.artifacts()), "EMBEDSERVE_PROFILE": profile}
    for name, template in pods(service(folder)).items():
        if name != "head":
            (init,) = template["spec"]["initContainers"]
            assert init["command"] == ["embedserve", "models", "pull"]
            assert {"configMapRef": {"name": "embedserve-preload"}} in init["envFrom"]


@everywhere
def test_mirrors_and_keys_of_model_sources_reach_all_that_fetch_models(folder):
    sources = {"secretRef": {"name": "embedserve-sources", "optional": True}}
    for name, template in pods(service(folder)).items():
        for container in containers(template):
            assert (sources in container.get("envFrom", [])) == (name != "head")


@everywhere
def test_serving_containers_read_preloaded_models_and_write_others_beside_them(folder):
    for name, template in pods(service(folder)).items():
        if name == "head":
            continue
        (init,), (serving,) = template["spec"]["initContainers"], template["spec"]["containers"]
        mounts = {mount["mountPath"]: mount for mount in serving["volumeMounts"]}
        preloaded, own = (environment(serving)[key] for key in ("EMBEDSERVE_PRELOADED", "EMBEDSERVE_MODELS"))
        assert preloaded == environment(init)["EMBEDSERVE_MODELS"]
        assert mounts[preloaded]["readOnly"] is True
        assert not mounts[str(PurePosixPath(own).parent)].get("readOnly")


@everywhere
def test_nothing_is_written_to_a_root_file_system_and_what_is_written_fits_the_limits(folder):
    spec = service(folder)["spec"]["rayClusterConfig"]
    assert spec["autoscalerOptions"]["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"name": "tmp", "mountPath": "/tmp"} in spec["autoscalerOptions"]["volumeMounts"]
    for template in pods(service(folder)).values():
        written = sum(
            int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi"))
            for volume in template["spec"]["volumes"]
            if "emptyDir" in volume
        )
        for container in containers(template):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
            assert int(container["resources"]["limits"]["ephemeral-storage"].removesuffix("Gi")) > written


@pytest.mark.parametrize("folder", [*OVERLAYS, "backfill"])
def test_every_container_has_limits_of_disk_and_requests_all_that_it_limits(folder):
    """Kubernetes takes the limit for a request that is left out: a pod then finds no node that has so much."""
    found = list(resources_of(built(folder)))
    assert found
    for resources in found:
        assert "ephemeral-storage" in resources["limits"]
        assert resources["limits"].keys() <= resources["requests"].keys()


def resources_of(manifest):
    """The ``resources`` of every container, wherever it stands."""
    if isinstance(manifest, list):
        for item in manifest:
            yield from resources_of(item)
    elif isinstance(manifest, dict):
        for key, value in manifest.items():
            if key == "resources" and "limits" in value:
                yield value
            else:
                yield from resources_of(value)


@everywhere
def test_what_asks_for_no_gpu_is_kept_off_the_nodes_of_the_gpu_group(folder):
    groups = {g["groupName"]: g["labels"] for g in service(folder)["spec"]["rayClusterConfig"]["workerGroupSpecs"]}
    for app in serve_config(folder).applications():
        for deployment in app["deployments"]:
            options = deployment["ray_actor_options"]
            wanted = options.get("label_selector", {})
            assert bool(wanted) == (not options.get("num_gpus")), deployment["name"]
            for key, value in wanted.items():
                assert {name for name, labels in groups.items() if labels[key] == value.removeprefix("!")} <= {"gpu"}
                assert value.startswith("!"), "a node without labels, on machines without Kubernetes, is as good as any"


@pytest.mark.parametrize("folder", ["overlays/ha", "overlays/ha-gpu"])
def test_one_node_holds_one_replica_of_a_deployment_and_groups_grow_to_as_many_nodes_as_that_takes(folder):
    groups = {g["groupName"]: g for g in service(folder)["spec"]["rayClusterConfig"]["workerGroupSpecs"]}
    for app in serve_config(folder).applications():
        for deployment in app["deployments"]:
            assert deployment["max_replicas_per_node"] == 1
            group = groups["gpu" if deployment["ray_actor_options"].get("num_gpus") else "cpu"]
            assert deployment["autoscaling_config"]["max_replicas"] <= group["maxReplicas"]
            assert deployment["autoscaling_config"]["min_replicas"] <= group["minReplicas"]


def test_a_drain_of_a_gpu_node_waits_for_the_other_one():
    budget = only(built("overlays/ha-gpu"), "PodDisruptionBudget", "embedserve-gpu")["spec"]
    labels = pods(service("overlays/ha-gpu"))["gpu"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    groups = service("overlays/ha-gpu")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert budget["minAvailable"] < next(g for g in groups if g["groupName"] == "gpu")["minReplicas"]


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


@pytest.mark.parametrize("folder", ["overlays/gpu", "overlays/gpu-text", "overlays/ha-gpu"])
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


@everywhere
def test_no_budget_stops_a_drain_for_good(folder):
    groups = service(folder)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    counts = {group["groupName"]: group["minReplicas"] for group in groups}
    for resource in built(folder):
        if resource["kind"] == "PodDisruptionBudget":
            spec = resource["spec"]
            assert counts[spec["selector"]["matchLabels"]["embedserve/node"]] > spec["minAvailable"]
            assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@everywhere
def test_scaling_down_a_cluster_spares_the_heads_node(folder):
    notes = pods(service(folder))["head"]["metadata"]["annotations"]
    assert notes["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert notes["karpenter.sh/do-not-disrupt"] == "true"


@everywhere
def test_the_upgrade_strategy_is_one_that_kuberay_knows(folder):
    known = {"NewCluster", "NewClusterWithIncrementalUpgrade", "None"}  # its definition takes any text
    assert service(folder)["spec"]["upgradeStrategy"]["type"] in known


def test_the_cluster_runs_the_locked_version_of_ray():
    for kind in ("cpu", "gpu"):
        text = (ROOT / "requirements" / f"{kind}.txt").read_text(encoding="utf-8")
        (locked,) = re.findall(r"^ray==(\S+)", text, re.MULTILINE)
        assert service("base")["spec"]["rayClusterConfig"]["rayVersion"] == locked
