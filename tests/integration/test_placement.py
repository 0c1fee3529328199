"""What asks for no GPU leaves the nodes of the GPU group alone, also when there is no other room."""

from __future__ import annotations

import copy

import pytest

from tests.integration.documents import keep_only
from tests.integration.nodes import Nodes
from tests.integration.waiting import wait
from tests.k8s.tools import serve_config, service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CPUS = 4


def test_text_and_gateways_wait_for_room_rather_than_take_that_of_a_gpu_node() -> None:
    groups = service("overlays/gpu")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    labels = {group["groupName"]: ",".join(f"{k}={v}" for k, v in group["labels"].items()) for group in groups}
    document = copy.deepcopy(serve_config("overlays/dev").document)
    keep_only(document, "text")
    _, text = (app["deployments"][0] for app in document["applications"])
    text["autoscaling_config"].update(min_replicas=CPUS + 2, max_replicas=CPUS + 2)
    nodes = Nodes(workers=2, cpus=CPUS, labels={1: labels["cpu"], 2: labels["gpu"]})
    try:
        nodes.deploy(document)
        wait("a full node", lambda: nodes.placement(document["applications"][1]["name"])[nodes.workers[0]] == CPUS - 1)
        wait("a gateway", lambda: len(nodes.replicas("gateway")) == 1)
        for name in ("gateway", document["applications"][1]["name"]):
            assert set(nodes.placement(name)) == {nodes.workers[0]}
    finally:
        nodes.close()
