"""The job that embeds a catalogue beside the service."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deployments.cli.main import app
from models.catalog.catalog import Catalog
from tests.k8s.tools import (
    KUBERNETES,
    ROOT,
    Manifest,
    built,
    builtin_problem,
    containers,
    kuberay_problems,
    only,
    pod,
    service,
)


@pytest.fixture(scope="module")
def job() -> Manifest:
    return only(built("backfill"), "RayJob")


def templates(job: Manifest) -> list[Manifest]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]


def test_the_job_and_its_cluster_are_as_kuberay_defines_them(job: Manifest) -> None:
    assert kuberay_problems(job) == []
    version = job["spec"]["rayClusterSpec"]["rayVersion"]
    assert version in (ROOT / "requirements" / "cpu.txt").read_text().partition("ray==")[2][:10]


BROKEN: dict[str, Callable[[Manifest], object]] = {
    "spec.backoffLimits": lambda job: job["spec"].update(backoffLimits=job["spec"].pop("backoffLimit")),
    "spec.rayClusterSpec.workerGroupSpecs[0].maxReplica": lambda job: job["spec"]["rayClusterSpec"]["workerGroupSpecs"][
        0
    ].update(maxReplica=3),
    "spec.rayClusterSpec.headGroupSpec.template.spec.containers[0].volumeMount": lambda job: templates(job)[0]["spec"][
        "containers"
    ][0].update(volumeMount=[]),
    "spec.ttlSecondsAfterFinished must be of type integer": lambda job: job["spec"].update(
        ttlSecondsAfterFinished="an hour"
    ),
}


@pytest.mark.parametrize("place", BROKEN)
def test_validate_names_what_kuberay_would_drop_from_a_job(job: Manifest, place: str, tmp_path: Path) -> None:
    broken = copy.deepcopy(job)
    BROKEN[place](broken)
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(broken), encoding="utf-8")
    answer = CliRunner().invoke(app, ["validate", str(file)])
    assert answer.exit_code != 0
    assert place in answer.output.replace("\n", "")


def test_validate_takes_the_folder_of_the_job() -> None:
    answer = CliRunner().invoke(app, ["validate", str(ROOT / "k8s" / "backfill")])
    assert (answer.exit_code, "RayJob embedserve-backfill: valid" in answer.output) == (0, True), answer.output


@pytest.mark.parametrize("version", KUBERNETES)
def test_its_pods_and_the_other_kinds_are_as_kubernetes_defines_them(job: Manifest, version: str) -> None:
    resources = [r for r in built("backfill") if r["kind"] != "RayJob"] + [pod(one) for one in templates(job)]
    assert [problem for one in resources if (problem := builtin_problem(one, version))] == []


def test_it_takes_no_place_of_the_services(job: Manifest) -> None:
    priority = only(built("backfill"), "PriorityClass")
    assert priority["value"] < 0
    assert priority["preemptionPolicy"] == "Never"
    serving = service("base")["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["metadata"]["labels"]
    for template in templates(job):
        spec = template["spec"]
        assert spec["priorityClassName"] == priority["metadata"]["name"]
        assert spec["nodeSelector"] == {"embedserve/pool": "backfill"}
        assert spec["tolerations"][0]["key"] == "embedserve/pool"
        assert template["metadata"]["labels"].items() != serving.items()
        assert spec["securityContext"]["runAsNonRoot"] is True
        for container in containers(template):
            assert container["image"] == "embedserve:0.1.0-cpu"
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


def reached(policy: Manifest, labels: Manifest) -> set[int]:
    """The ports that a policy opens towards pods of its namespace with these labels."""
    found: set[int] = set()
    for rule in policy["spec"]["egress"]:
        peers = [one.get("podSelector", {}).get("matchLabels", {}) for one in rule.get("to", []) if len(one) == 1]
        if "to" not in rule or any(peer.items() <= labels.items() for peer in peers):
            found |= {port["port"] for port in rule.get("ports", [])}
    return found


def test_it_reaches_what_its_options_name(job: Manifest) -> None:
    """The service (--expect-live), object stores, PostgreSQL and Qdrant; and it gets the keys for them."""
    serving = service("base")["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"]["metadata"]["labels"]
    assert {8000, 443, 5432, 6333} <= reached(only(built("backfill"), "NetworkPolicy"), serving)
    assert 8000 not in reached(only(built("backfill"), "NetworkPolicy"), {"app": "another"})
    for template in templates(job):
        for container in containers(template):
            secrets = [one["secretRef"] for one in container["envFrom"]]
            assert {"name": "embedserve-backfill", "optional": True} in secrets


def test_its_command_is_one_that_the_image_knows(job: Manifest) -> None:
    program, command, reference, *words = shlex.split(job["spec"]["entrypoint"])
    assert (program, command) == ("embedserve", "backfill")
    assert Catalog.load().find(reference)
    said = CliRunner().invoke(app, ["backfill", "--help"], env={"COLUMNS": "300", "NO_COLOR": "1"}).output
    known = set(re.findall(r"--[a-z-]+", said))
    assert {word for word in words if word.startswith("--")} <= known
    (pull,) = [one for one in containers(templates(job)[0]) if one["name"] == "models"]
    assert reference in pull["command"]
