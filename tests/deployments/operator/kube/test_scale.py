"""Bounds of worker groups change in the RayService and in the cluster that runs, or in neither."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from deployments.cli.main import app
from models.errors import EmbedserveError
from tests.deployments.operator.kube.conftest import Cluster
from tests.servers.kubernetes import Fault


def bounds(cluster: Cluster) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    service = cluster.api.get("rayservices", "embedserve")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    active = cluster.api.get("rayclusters", "embedserve-bcdfg")["spec"]["workerGroupSpecs"]
    return tuple([(group["minReplicas"], group["maxReplicas"]) for group in groups] for groups in (service, active))


def scale(*words: str) -> str:
    result = CliRunner().invoke(app, ["scale", *[word for pair in words for word in ("--workers", pair)]])
    if result.exception:
        raise result.exception
    return result.output


def test_both_objects_get_the_new_bounds_and_a_second_time_nothing_changes(cluster: Cluster) -> None:
    said = scale("cpu=2:12", "gpu=1:4")
    assert bounds(cluster) == ([(2, 12), (1, 4)], [(2, 12), (1, 4)])
    assert "RayCluster embedserve-bcdfg: changed" in said
    assert "RayCluster embedserve-bcdfg: as it was" in scale("cpu=2:12", "gpu=1:4")


def test_an_event_says_who_changed_the_bounds_and_one_that_may_not_be_made_is_said(cluster: Cluster) -> None:
    scale("cpu=2:12")
    scale("cpu=2:12")  # changes nothing
    (event,) = cluster.api.all("events")
    assert "ran `scale --workers cpu=2:12`" in event["message"]
    assert (event["type"], event["involvedObject"]["name"]) == ("Normal", "embedserve")
    cluster.api.denied.add(("POST", "events"))
    assert "no Event was made" in scale("cpu=3:12")
    assert bounds(cluster)[0][0] == (3, 12)


def test_a_cluster_that_refuses_leaves_the_rayservice_as_it_was(cluster: Cluster) -> None:
    before = bounds(cluster)
    cluster.api.faults.append(Fault("PATCH", "rayclusters", 403))
    with pytest.raises(EmbedserveError, match="nothing is changed"):
        scale("cpu=2:12")
    assert bounds(cluster) == before


@pytest.mark.parametrize("plural", ["rayservices", "rayclusters"])
def test_a_change_whose_answer_was_lost_stands(cluster: Cluster, plural: str) -> None:
    cluster.api.faults.append(Fault("PATCH", plural, None, applied=True))
    scale("cpu=2:12")
    assert bounds(cluster) == ([(2, 12), (0, 4)], [(2, 12), (0, 4)])


def test_what_could_not_be_changed_back_is_named(cluster: Cluster) -> None:
    cluster.api.faults.append(Fault("PATCH", "rayclusters", 403))
    cluster.api.before_patch = lambda _: cluster.api.denied.add(("PATCH", "rayservices"))
    with pytest.raises(EmbedserveError, match="RayService embedserve may have the new bounds, and could not be"):
        scale("cpu=2:12")


@pytest.mark.parametrize(
    ("pair", "told"),
    [("cpu=3:2", "MIN up to MAX"), ("cpu=3", "GROUP=MIN:MAX"), ("tpu=1:2", "there are: cpu, gpu")],
)
def test_what_makes_no_sense_is_refused(cluster: Cluster, pair: str, told: str) -> None:
    before = bounds(cluster)
    with pytest.raises(EmbedserveError, match=told):
        scale(pair)
    assert bounds(cluster) == before
