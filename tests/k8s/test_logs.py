"""Logs outlive their pods where an overlay has the component for it."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import PurePosixPath

import pytest
import yaml

from tests.k8s.tools import K8S, KUBERNETES, builtin_problem, kuberay_problems, kustomize, only, pod, pods

SESSION = "/tmp/ray/session_latest/logs"


def with_components(tmp_path, *names):
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "embedserve").symlink_to(K8S.parent)
    k8s = "../embedserve/k8s"
    document = {"resources": [f"{k8s}/overlays/ha-gpu"], "components": [f"{k8s}/components/{name}" for name in names]}
    (own / "kustomization.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return kustomize(own)


@pytest.mark.parametrize(
    "names", [("logs",), ("logs", "baked-models"), ("baked-models", "logs"), ("shared-models", "logs")], ids=" ".join
)
def test_every_pod_has_one_sidecar_that_follows_its_logs_and_writes_nowhere_else(tmp_path, names):
    resources = with_components(tmp_path, *names)
    service = only(resources, "RayService")
    assert kuberay_problems(service) == []
    for template in pods(service).values():
        assert builtin_problem(pod(template), KUBERNETES[0]) is None
        (sidecar,) = [one for one in template["spec"]["initContainers"] if one["name"] == "logs"]
        assert sidecar["restartPolicy"] == "Always"
        assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True
        assert sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "@sha256:" in sidecar["image"]
        (follows,) = [m for m in sidecar["volumeMounts"] if PurePosixPath(SESSION).is_relative_to(m["mountPath"])]
        assert follows["readOnly"] is True
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        config = only(resources, "ConfigMap", volumes["logs"]["configMap"]["name"])
        assert sidecar["args"] == ["--config", "/etc/embedserve/logs/fluent-bit.yaml"]
        assert {"fluent-bit.yaml", "parsers.conf"} == set(config["data"])


@pytest.mark.parametrize("autoscaler", [True, False], ids=["with the autoscaler", "without"])
def test_a_sidecar_sees_the_volume_that_kuberay_lets_ray_write_its_logs_to(tmp_path, autoscaler):
    service = only(with_components(tmp_path, "logs"), "RayService")
    for name, template in pods(service).items():
        ray = template["spec"]["containers"][0]
        if name == "head" and autoscaler:
            as_kuberay_adds_logs(ray)
        (sidecar,) = [one for one in template["spec"]["initContainers"] if one["name"] == "logs"]
        assert written_to(sidecar) == written_to(ray), name


def as_kuberay_adds_logs(container):
    """``addEmptyDir`` of KubeRay's common/pod.go, for the head's container beside an autoscaler."""
    if all(mount["mountPath"] != "/tmp/ray" for mount in container["volumeMounts"]):
        container["volumeMounts"].append({"name": "ray-logs", "mountPath": "/tmp/ray"})


def written_to(container):
    """The volume that lies at the folder of logs: the one that is mounted nearest to it, and the folder's place in it."""
    above = [m for m in container["volumeMounts"] if PurePosixPath(SESSION).is_relative_to(m["mountPath"])]
    nearest = max(above, key=lambda mount: len(mount["mountPath"]))
    return nearest["name"], nearest["mountPath"]


@pytest.mark.parametrize(
    ("name", "followed"),
    [
        ("serve/access_bb4axymm.log", True),
        ("serve/replica_gateway_Gateway_bb4axymm.log", True),
        ("serve/controller_1234.log", True),
        ("raylet.err", True),
        ("gcs_server.err", True),
        ("monitor.log", True),
        ("serve/access_bb4axymm.log.1", False),
    ],
)
def test_the_sidecar_follows(name, followed):
    document = yaml.safe_load((K8S / "components" / "logs" / "fluent-bit.yaml").read_text(encoding="utf-8"))
    (tail,) = document["pipeline"]["inputs"]
    assert any(fnmatch(f"{SESSION}/{name}", pattern) for pattern in tail["path"].split(",")) == followed
