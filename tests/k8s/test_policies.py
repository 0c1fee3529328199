"""What no schema can know: switches, security, draining, sizes and versions agree with the rest of the project."""

from __future__ import annotations

import re

import pytest
import yaml

from deployments.cluster import SWITCHES
from deployments.serve_config import ServeConfig
from tests.k8s.tools import OVERLAYS, ROOT, built, environment, only, pods

GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def service(folder):
    return only(built(folder), "RayService")


def serve_config(folder):
    return ServeConfig(yaml.safe_load(service(folder)["spec"]["serveConfigV2"]))


def containers(template):
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def everywhere():
    return pytest.mark.parametrize("folder", OVERLAYS)


@everywhere()
def test_head_and_every_worker_have_the_same_switches_as_make_run(folder):
    for name, template in pods(service(folder)).items():
        variables = environment(template["spec"]["containers"][0])
        assert {key: variables.get(key) for key in SWITCHES} == SWITCHES, name


@everywhere()
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


@everywhere()
def test_the_head_runs_no_replicas_gets_no_requests_and_asks_for_a_token(folder):
    spec = service(folder)["spec"]
    cluster = spec["rayClusterConfig"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["excludeHeadPodFromServeSvc"] is True
    assert cluster["authOptions"] == {"mode": "token"}


@everywhere()
def test_autoscaler_v2_is_on_and_pods_are_replaced_instead_of_restarted(folder):
    cluster = service(folder)["spec"]["rayClusterConfig"]
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["autoscalerOptions"]["version"] == "v2"
    assert {template["spec"]["restartPolicy"] for template in pods(service(folder)).values()} == {"Never"}


@everywhere()
def test_kuberays_probes_are_left_alone(folder):
    for template in pods(service(folder)).values():
        for container in containers(template):
            assert not {"livenessProbe", "readinessProbe", "startupProbe"} & set(container)


@everywhere()
def test_every_container_meets_the_restricted_pod_security_standard(folder):
    templates = [*pods(service(folder)).values()]
    templates += [r["spec"]["template"] for r in built(folder) if r["kind"] == "StatefulSet"]
    for template in templates:
        context = template["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(template):
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert not container["image"].endswith(":latest")


@everywhere()
def test_only_the_head_may_talk_to_kubernetes(folder):
    for name, template in pods(service(folder)).items():
        assert template["spec"].get("automountServiceAccountToken", True) == (name == "head")


@everywhere()
def test_workers_pull_every_model_that_is_served_under_the_profile_that_is_served(folder):
    config = serve_config(folder)
    (profile,) = config.profiles
    for name, template in pods(service(folder)).items():
        if name != "head":
            command = template["spec"]["initContainers"][0]["command"]
            assert command[:5] == ["embedserve", "models", "pull", "--profile", profile]
            assert set(config.artifacts()) <= set(command[5:])


@everywhere()
def test_keys_are_read_from_a_mounted_secret_unless_the_overlay_is_for_development(folder):
    for name, template in pods(service(folder)).items():
        container = template["spec"]["containers"][0]
        path = environment(container).get("EMBEDSERVE_API_KEYS_FILE")
        assert (path is None) == (folder == "overlays/dev")
        if path and name != "head":
            (mount,) = (m for m in container["volumeMounts"] if path.startswith(m["mountPath"]))
            volume = next(v for v in template["spec"]["volumes"] if v["name"] == mount["name"])
            assert mount["readOnly"] is True
            assert volume["secret"].get("optional", False) is False


@everywhere()
def test_no_manifest_holds_a_secret(folder):
    assert "Secret" not in {resource["kind"] for resource in built(folder)}


@everywhere()
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


@everywhere()
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


@pytest.mark.parametrize("port", [8265, 10001, 6379, 8404, 44217])
@everywhere()
def test_no_one_but_rays_own_pods_and_the_operator_reaches(folder, port):
    policy = only(built(folder), "NetworkPolicy", "embedserve-ingress")
    for rule in policy["spec"]["ingress"]:
        sources = rule.get("from", [{}])
        inside = sources == [{"podSelector": policy["spec"]["podSelector"]}]
        operator = all(
            s.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name") == "kuberay-operator"
            for s in sources
        )
        ports = [entry["port"] for entry in rule.get("ports", [])]
        assert inside or (operator and port in (8265, 52365)) or (ports and port not in ports)


@pytest.mark.parametrize("folder", ["overlays/gpu", "overlays/ha-gpu"])
def test_gpu_pods_tolerate_the_taint_and_one_of_them_is_always_there(folder):
    cluster = service(folder)["spec"]["rayClusterConfig"]
    group = next(group for group in cluster["workerGroupSpecs"] if group["groupName"] == "gpu")
    assert group["minReplicas"] >= 1
    assert group["template"]["spec"]["tolerations"] == [GPU_TAINT]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1"


@everywhere()
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


@everywhere()
def test_the_upgrade_strategy_is_one_that_kuberay_knows(folder):
    known = {"NewCluster", "NewClusterWithIncrementalUpgrade", "None"}  # its definition takes any text
    assert service(folder)["spec"]["upgradeStrategy"]["type"] in known


def test_the_cluster_runs_the_locked_version_of_ray():
    for kind in ("cpu", "gpu"):
        text = (ROOT / "requirements" / f"{kind}.txt").read_text(encoding="utf-8")
        (locked,) = re.findall(r"^ray==(\S+)", text, re.MULTILINE)
        assert service("base")["spec"]["rayClusterConfig"]["rayVersion"] == locked
