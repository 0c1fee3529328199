"""Whether a Serve belongs to a RayService, from what Serve reports and from what KubeRay sets in its pods."""

from __future__ import annotations

import pytest

from deployments.operator.kuberay import owner

HEAD = {"RAY_USAGE_STATS_EXTRA_TAGS": "kuberay_version=v1.7.0;kuberay_crd=RayService", "RAY_CLUSTER_NAME": "shop-x5k2p"}
WORKER = {
    "RAY_USAGE_STATS_KUBERAY_IN_USE": "1",
    "RAY_TIMEOUT_MS_TASK_WAIT_FOR_DEATH_INFO": "0",
    "RAY_CLUSTER_NAME": "shop-x5k2p",
}
OTHERS = {"RAY_USAGE_STATS_EXTRA_TAGS": "kuberay_version=v1.7.0;kuberay_crd=RayCluster", "RAY_CLUSTER_NAME": "mine"}


def reported(pod: str | None) -> dict[str, object]:
    return {"controller_info": {"node_instance_id": None}, "proxies": {"a": {"node_instance_id": pod}}}


@pytest.mark.parametrize(
    ("pod", "environment", "name"),
    [
        ("shop-x5k2p-head-b7xq9", {}, "shop"),
        ("my-shop-x5k2p-cpu-worker-b7xq9", {}, "my-shop"),
        ("mycluster-head-b7xq9", {}, None),
        ("i-0abcd1234ef567890", {}, None),
        (None, {}, None),
        (None, HEAD, "shop"),
        (None, WORKER, "shop"),
        (None, OTHERS, None),
    ],
    ids=[
        "its head, seen from afar",
        "its worker, seen from afar",
        "a RayCluster of somebody's own",
        "an instance of a cloud",
        "a machine",
        "inside of its head",
        "inside of its worker",
        "inside of a RayCluster",
    ],
)
def test_a_serve_belongs_to(pod: str | None, environment: dict[str, str], name: str | None) -> None:
    assert owner(reported(pod), environment) == name
