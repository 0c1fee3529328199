"""The job that embeds a catalogue beside the service."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field
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
    only,
    pod,
    rayservice_problems,
    service,
)


class Spec(BaseModel):
    """The fields of KubeRay's RayJob that the manifest uses; every other is an error."""

    model_config = ConfigDict(extra="forbid")
    entrypoint: str
    submission_mode: str = Field(alias="submissionMode", pattern="^(HTTPMode|K8sJobMode)$")
    backoff_limit: int = Field(alias="backoffLimit", ge=1)
    shutdown: bool = Field(alias="shutdownAfterJobFinishes")
    ttl: int = Field(alias="ttlSecondsAfterFinished", ge=0)
    cluster: dict[str, Any] = Field(alias="rayClusterSpec")


@pytest.fixture(scope="module")
def job() -> Manifest:
    return only(built("backfill"), "RayJob")


def templates(job: Manifest) -> list[Manifest]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]


def test_the_job_and_its_cluster_are_as_kuberay_defines_them(job: Manifest) -> None:
    spec = Spec.model_validate(job["spec"])
    as_service = service("base")
    as_service["spec"]["rayClusterConfig"] = spec.cluster
    assert rayservice_problems(as_service) == []
    assert spec.cluster["rayVersion"] in (ROOT / "requirements" / "cpu.txt").read_text().partition("ray==")[2][:10]


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


def test_its_command_is_one_that_the_image_knows(job: Manifest) -> None:
    program, command, reference, *words = shlex.split(job["spec"]["entrypoint"])
    assert (program, command) == ("embedserve", "backfill")
    assert Catalog.load().find(reference)
    said = CliRunner().invoke(app, ["backfill", "--help"], env={"COLUMNS": "300", "NO_COLOR": "1"}).output
    known = set(re.findall(r"--[a-z-]+", said))
    assert {word for word in words if word.startswith("--")} <= known
    (pull,) = [one for one in containers(templates(job)[0]) if one["name"] == "models"]
    assert reference in pull["command"]
