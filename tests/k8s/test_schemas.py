"""Every overlay builds, and every field of it is known to Kubernetes or to KubeRay."""

from __future__ import annotations

import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from deployments.cluster.kuberay_check import SCHEMAS
from scripts.kuberay_schema import schema_of
from tests.k8s import operator_kinds
from tests.k8s.tools import (
    CRDS,
    K8S,
    KUBERNETES,
    OVERLAYS,
    built,
    built_beside,
    builtin_problem,
    containers,
    environment,
    kustomize,
    only,
    pod,
    pods,
)
from tests.k8s.tools import kuberay_problems as problems

# What the models' volume is, and whether an init container fills it.
COMPONENTS = {
    "shared-models": ("persistentVolumeClaim", True),
    "baked-models": (None, False),
    "image-models": ("image", False),
    "catalog": ("emptyDir", True),
}


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_ray_service_is_as_kuberay_defines_it(folder):
    assert problems(only(built(folder), "RayService")) == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("folder", OVERLAYS)
def test_pod_templates_and_built_in_kinds_are_as_kubernetes_defines_them(folder, version):
    resources = built(folder)
    service = only(resources, "RayService")
    resources = [r for r in resources if r["kind"] not in ("RayService", "Gateway")]  # the latter: test_upgrades.py
    resources += [pod(template) for template in pods(service).values()]
    found = {f"{r['kind']}/{r['metadata']['name']}": builtin_problem(r, version) for r in resources}
    assert {name: problem for name, problem in found.items() if problem} == {}


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_changes_the_gpu_overlay_validly(tmp_path, component):
    folder = K8S / "overlays" / "gpu"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    kustomization["components"] = [f"../../components/{component}"]
    for source in K8S.rglob("*.yaml"):
        copy = tmp_path / source.relative_to(K8S)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "overlays" / "gpu" / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    resources = kustomize(tmp_path / "overlays" / "gpu")
    service = only(resources, "RayService")
    assert problems(service) == []
    for name, template in pods(service).items():
        assert builtin_problem(pod(template), KUBERNETES[1 if component == "image-models" else 0]) is None
        volumes = {volume["name"]: set(volume) - {"name"} for volume in template["spec"]["volumes"]}
        if name != "head":
            kind, filled = COMPONENTS[component]
            assert volumes.get("models") == ({kind} if kind else None)
            assert bool(template["spec"]["initContainers"]) == filled
        if component == "catalog":
            for container in containers(template):
                path = environment(container)["EMBEDSERVE_CATALOG"]
                (mount,) = (m for m in container["volumeMounts"] if path.startswith(f"{m['mountPath']}/"))
                assert volumes[mount["name"]] == {"configMap"}


def test_the_tls_component_adds_an_ingress_and_closes_plain_http_to_everyone_else(tmp_path):
    kustomization = {"resources": ["../gpu"], "components": ["../../components/tls"]}
    resources = built_beside(tmp_path, kustomization)
    ingress = only(resources, "Ingress")
    policy = only(resources, "NetworkPolicy", "embedserve-ingress")
    assert builtin_problem(ingress, KUBERNETES[0]) is None
    assert builtin_problem(policy, KUBERNETES[0]) is None
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": "embedserve-serve-svc", "port": {"name": "serve"}}
    assert ingress["spec"]["tls"][0]["secretName"]
    for rule in policy["spec"]["ingress"]:
        if 8000 in [entry["port"] for entry in rule.get("ports", [])]:
            assert rule["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == "ingress-nginx"


def test_monitoring_builds_and_every_field_is_known():
    for resource in built("monitoring"):
        if resource["kind"] in operator_kinds.KINDS:
            operator_kinds.check(resource)
        else:
            assert builtin_problem(resource, KUBERNETES[0]) is None


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_schema_that_is_shipped_is_made_of_kuberays_definition(kind):
    file = CRDS / f"ray.io_{kind.lower()}s.yaml"
    if not file.is_file():
        pytest.skip(f"no {file.name} in {CRDS} (KUBERAY_CRDS names another folder): nothing to compare with")
    definition = yaml.load(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    shipped = json.loads(SCHEMAS[kind].read_text(encoding="utf-8"))
    assert schema_of(definition) == shipped
    Draft202012Validator.check_schema(shipped)


BROKEN = {
    "an unknown field of the service": lambda s: s["spec"].update(upgradeStrategi={}),
    "a misspelt field inside a pod template": lambda s: pods(s)["cpu"]["spec"]["containers"][0].update(volumeMount=[]),
    "upgrade options without a gateway class": lambda s: s["spec"].update(
        upgradeStrategy={"clusterUpgradeOptions": {"stepSizePercent": 1, "intervalSeconds": 1}}
    ),
    "an unknown authentication mode": lambda s: s["spec"]["rayClusterConfig"]["authOptions"].update(mode="tokens"),
    "an unknown field of the autoscaler": lambda s: s["spec"]["rayClusterConfig"]["autoscalerOptions"].update(v=2),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_kuberays_definition_refuses(change):
    service = only(built("base"), "RayService")
    change(service)
    assert len(problems(service)) == 1


DELETE = {"policy": "DeleteCluster"}
RULED = {  # KubeRay's rules in Kubernetes' expression language: what breaks one, and its own words for it
    "half of the old policies": ({"onSuccess": DELETE}, "requires either BOTH onSuccess and onFailure"),
    "old policies and rules": (
        {"onFailure": DELETE, "deletionRules": [DELETE | {"condition": {"jobStatus": "FAILED"}}]},
        "cannot be used together within the same deletionStrategy",
    ),
    "a condition of nothing": ({"deletionRules": [DELETE | {"condition": {}}]}, "requires either the JobStatus or"),
    "a condition of two kinds": (
        {"deletionRules": [DELETE | {"condition": {"jobStatus": "FAILED", "jobDeploymentStatus": "Failed"}}]},
        "JobStatus and JobDeploymentStatus cannot be used together",
    ),
}


@pytest.mark.parametrize(("strategy", "told"), RULED.values(), ids=RULED)
def test_kuberays_rules_refuse(strategy, told):
    job = only(built("backfill"), "RayJob")
    job["spec"]["deletionStrategy"] = strategy
    (problem,) = problems(job)
    assert told in problem
    patch = {"kind": "RayJob", "spec": {"deletionStrategy": strategy}}
    assert not [problem for problem in problems(patch) if "requires" in problem], (
        "the other key may be in what it changes"
    )


@pytest.mark.parametrize(
    "strategy",
    [{"onSuccess": DELETE, "onFailure": DELETE}, {"deletionRules": [DELETE | {"condition": {"jobStatus": "FAILED"}}]}],
)
def test_kuberays_rules_allow(strategy):
    job = only(built("backfill"), "RayJob")
    job["spec"]["deletionStrategy"] = strategy
    assert problems(job) == []


def test_a_manager_that_is_neither_kuberay_nor_multikueue_is_refused_everywhere():
    service = only(built("base"), "RayService")
    service["spec"]["managedBy"] = service["spec"]["rayClusterConfig"]["managedBy"] = "argocd"
    places = [problem.partition(":")[0] for problem in problems(service)]
    assert places == ["spec.managedBy", "spec.rayClusterConfig.managedBy"]
    service["spec"]["managedBy"] = service["spec"]["rayClusterConfig"]["managedBy"] = "kueue.x-k8s.io/multikueue"
    assert problems(service) == []


def test_a_rule_that_nobody_translated_ends_the_making_of_a_schema():
    field = {"type": "string", "x-kubernetes-validations": [{"rule": "self != 'x'", "message": "not x"}]}
    spec = {"names": {"kind": "RayService"}, "versions": [{"name": "v1", "schema": {"openAPIV3Schema": of(field)}}]}
    with pytest.raises(SystemExit, match="self != 'x'"):
        schema_of({"spec": spec})
    field["x-kubernetes-validations"][0]["rule"] = "self == oldSelf"
    schema_of({"spec": spec})


def of(field):
    top = {name: {"type": "string"} for name in ("apiVersion", "kind")}
    return {"type": "object", "properties": {**top, "spec": {"type": "object", "properties": {"name": field}}}}


def test_kubernetes_refuses_a_misspelt_field_inside_a_pod_template():
    template = pods(only(built("base"), "RayService"))["cpu"]
    template["spec"]["containers"][0]["volumeMount"] = []
    assert "volumeMount" in (builtin_problem(pod(template), KUBERNETES[0]) or "")


@pytest.mark.parametrize("folder", OVERLAYS)
def test_everything_of_an_overlay_lies_in_one_namespace(folder):
    resources = [resource for resource in built(folder) if resource["kind"] != "Namespace"]
    namespace = only(built(folder), "Namespace")["metadata"]["name"]
    assert {f"{r['kind']}/{r['metadata']['name']}": r["metadata"].get("namespace") for r in resources} == {
        f"{r['kind']}/{r['metadata']['name']}": namespace for r in resources
    }
