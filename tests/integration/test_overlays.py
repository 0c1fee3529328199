"""What every overlay embeds, and one outside of the repository, is deployed on nodes like those of its cluster, and embeds.

This machine has neither cards, nor four processors for each replica, nor CLIP's weights. What that changes of a
configuration is what ``fitted`` says, and nothing else; nodes have the groups' labels, and Ray is told of a card on the
node of the GPU group, so that label selectors, cards and replicas that keep to nodes of their own place as in a cluster.
"""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from deployments.auth.api_keys import new_key
from deployments.auth.key_file import FILE_VARIABLE, changing
from models.catalog.catalog import Catalog
from models.catalog.record import is_synthetic
from models.catalog.store import pull
from scripts.k8s_config import FILE, artifacts
from scripts.k8s_variant import SETTINGS
from tests.integration.nodes import Nodes
from tests.integration.waiting import wait
from tests.k8s.tools import K8S, OVERLAYS, ROOT, kustomize, only, service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
Document = dict[str, Any]
TEXT, IMAGE = "text-embedding", "image-embedding"
CPU, GPU = (1, 2), (3, 4)  # machines; two of each, as the overlays for high availability ask for
CPUS = 4  # of each, as pods of the manifests have
KEY, ENTRY = new_key("shop", ("embed",))


def fitted(document: Document) -> Document:
    """A configuration for this machine."""
    changed = copy.deepcopy(document)
    pulled = [pull(Catalog.load().find(name), allow_synthetic=True) for name in artifacts(document)]  # nodes cannot
    synthetic = any(map(is_synthetic, pulled))
    for app in changed["applications"]:
        if synthetic:  # production refuses random weights, whose hash is another one
            app["args"]["profile"] = "development"
        for deployment in app["deployments"]:
            config = deployment.get("user_config") or {}
            if config.get("provider") == "cuda":
                config["provider"] = "cpu"  # on the node with the card all the same
            if synthetic and config.get("artifact", "").startswith(IMAGE):
                config.pop("hash", None)
            # Two processors do the work of all nodes: what runs is what has to run at least.
            scaling = deployment["autoscaling_config"]
            scaling["max_replicas"] = max(scaling["min_replicas"], 1)
    return changed


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    groups = service("overlays/ha-gpu")["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    labels = {group["groupName"]: ",".join(f"{k}={v}" for k, v in group["labels"].items()) for group in groups}
    keys = tmp_path_factory.mktemp("keys") / "api-keys"
    keys.parent.chmod(0o755)
    with changing(keys) as entries:
        entries.append(ENTRY)
    before = os.environ.get(FILE_VARIABLE)
    os.environ[FILE_VARIABLE] = str(keys)
    placed = {number: labels["cpu" if number in CPU else "gpu"] for number in (*CPU, *GPU)}
    try:
        started = Nodes(workers=4, cpus=CPUS, labels=placed, cards=GPU)
    finally:
        os.environ.pop(FILE_VARIABLE) if before is None else os.environ.update({FILE_VARIABLE: before})
    started.environment["EMBEDSERVE_API_KEY"] = KEY  # the command asks what is served
    try:
        yield started
    finally:
        started.close()


def outside(folder: Path) -> Document:
    """The configuration of an overlay that an operator keeps elsewhere."""
    (folder / "kustomization.yaml").write_text(
        f"resources: [{os.path.relpath(K8S / 'base', folder)}]\npatches:\n  - path: {FILE}\n"
    )
    (folder / SETTINGS).write_text("replicas: 2\n")
    script = [sys.executable, str(ROOT / "scripts" / "k8s_config.py"), "--write", str(folder)]
    subprocess.run(script, check=True, capture_output=True)
    return embedded(only(kustomize(folder), "RayService"))


def embedded(rayservice: Document) -> Document:
    document: Document = yaml.safe_load(rayservice["spec"]["serveConfigV2"])
    return document


@pytest.mark.parametrize("folder", [*OVERLAYS, "an overlay of one's own"])
def test_what_an_overlay_embeds_is_deployed_and_embeds(nodes: Nodes, folder: str, jpeg: bytes, tmp_path: Path) -> None:
    document = fitted(embedded(service(folder)) if folder in OVERLAYS else outside(tmp_path))
    path = tmp_path / "serve_config.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    said = nodes.run("embedserve", "up", "--address", nodes.dashboard, "--config", str(path), "--timeout", "280")
    assert "embedserve is ready on http://" in said
    wanted = {
        (app["name"], d["name"]): d["autoscaling_config"]["min_replicas"]
        for app in document["applications"]
        for d in app["deployments"]
    }

    def counted() -> dict[tuple[str, str], int]:
        apps = (nodes.details() or {"applications": {}})["applications"]
        return {
            (name, deployment): len(d["replicas"])
            for name, app in apps.items()
            for deployment, d in app["deployments"].items()
        }

    wait(lambda: f"{wanted}, not {counted()}", lambda: counted() == wanted, 200)
    url = f"http://{nodes.workers[0]}:8000/v1/embeddings"
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx2.Client(headers=headers, timeout=60, trust_env=False) as client:
        text = client.post(url, json={"model": TEXT, "input": "boots"})
        picture = client.post(f"{url}/image", content=jpeg, headers={"content-type": "image/jpeg"})
        assert (text.status_code, picture.status_code) == (200, 200), text.text + picture.text
        assert [len(answer.json()["data"][0]["embedding"]) for answer in (text, picture)] == [384, 512]
    require_placed(nodes, document)


def require_placed(nodes: Nodes, document: Document) -> None:
    """What needs a card is where cards are, nothing else is, and each node has one replica where the overlay says so."""
    apps = (nodes.details() or {"applications": {}})["applications"]
    cards = {nodes.machines.addresses[number] for number in GPU}
    for app in document["applications"]:
        for deployment in app["deployments"]:
            found = [r["node_ip"] for r in apps[app["name"]]["deployments"][deployment["name"]]["replicas"]]
            needs_card = bool(deployment["ray_actor_options"].get("num_gpus"))
            assert all((address in cards) == needs_card for address in found), deployment["name"]
            if deployment.get("max_replicas_per_node") == 1:
                assert len(set(found)) == len(found)
