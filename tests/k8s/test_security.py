"""Who may reach what, and what a container may do."""

from __future__ import annotations

import re

import pytest

from tests.k8s.tools import built, containers, environment, everywhere, only, pods, service


@everywhere
def test_the_head_runs_no_replicas_gets_no_requests_and_asks_for_a_token(folder):
    spec = service(folder)["spec"]
    cluster = spec["rayClusterConfig"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["excludeHeadPodFromServeSvc"] is True
    assert cluster["authOptions"] == {"mode": "token"}


@everywhere
def test_every_container_meets_the_restricted_pod_security_standard(folder):
    templates = [*pods(service(folder)).values()]
    templates += [r["spec"]["template"] for r in built(folder) if r["kind"] in ("StatefulSet", "Deployment")]
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


@everywhere
def test_images_of_others_are_pinned_by_digest(folder):
    templates = [*pods(service(folder)).values()]
    templates += [r["spec"]["template"] for r in built(folder) if r["kind"] in ("StatefulSet", "Deployment")]
    images = {container["image"] for template in templates for container in containers(template)}
    assert not [i for i in images if not i.startswith("embedserve") and not re.search(r":.+@sha256:[0-9a-f]{64}$", i)]


@everywhere
def test_only_the_head_may_talk_to_kubernetes(folder):
    for name, template in pods(service(folder)).items():
        assert template["spec"].get("automountServiceAccountToken", True) == (name == "head")


@everywhere
def test_who_watches_for_drift_may_read_one_object_and_nothing_else(folder):
    resources = built(folder)
    roles = [r for r in resources if r["kind"] in ("Role", "ClusterRole")]
    if "ha" not in folder:
        assert roles == []
        return
    (role,), binding = roles, only(resources, "RoleBinding")
    assert role["rules"] == [
        {
            "apiGroups": ["ray.io"],
            "resources": ["rayservices"],
            "resourceNames": [service(folder)["metadata"]["name"]],
            "verbs": ["get"],
        }
    ]
    account, pod = only(resources, "ServiceAccount"), only(resources, "Deployment")["spec"]["template"]
    assert account["automountServiceAccountToken"] is False
    assert pod["spec"]["serviceAccountName"] == account["metadata"]["name"]
    subject = {
        "kind": "ServiceAccount",
        "name": account["metadata"]["name"],
        "namespace": role["metadata"]["namespace"],
    }
    assert (binding["roleRef"]["name"], binding["subjects"]) == (role["metadata"]["name"], [subject])
    assert "app.kubernetes.io/part-of" not in pod["metadata"]["labels"], "Ray's own ports would be open to it"


@everywhere
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


@everywhere
def test_no_manifest_holds_a_secret(folder):
    assert "Secret" not in {resource["kind"] for resource in built(folder)}


@pytest.mark.parametrize("port", [8265, 10001, 6379, 8404, 44217])
@everywhere
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
