"""The overlays for cards say what they mean: fp16, preloaded, fed and decoded at the card's rate, on drivers that carry it.

All of it is computed from the rendered manifests and from what the code makes of them, not from what generates them.
"""

from __future__ import annotations

import re
from math import ceil
from typing import Any

import pytest

from bench.gpu.tables import BARS
from deployments.autoscaling.law import decoder_cpus
from deployments.config.gateway import GatewayConfig
from deployments.config.queue import Queue
from models.catalog.catalog import Catalog
from models.engine.buckets import image_buckets
from models.modalities import MODALITIES
from tests.k8s.tools import K8S, OVERLAYS, ROOT, built, built_beside, environment, only, pods, serve_config, service

ON_CARDS = [folder for folder in OVERLAYS if "gpu" in folder]
on_cards = pytest.mark.parametrize("folder", ON_CARDS)
DECODE_S = 0.0036  # a JPEG of 640 × 480 on one core, as docs/gpu.md has it
RESIDENT = 2  # batches that a card has at a time
Deployment = dict[str, Any]


def deployments(folder: str) -> dict[str, Deployment]:
    return {d["name"]: d for app in serve_config(folder).applications() for d in app["deployments"]}


def encoders(folder: str) -> dict[str, Deployment]:
    """What computes on a card, by ``name@version`` that it serves."""
    return {
        app["args"]["model"]: deployment
        for app in serve_config(folder).applications()
        for deployment in app["deployments"]
        if deployment["ray_actor_options"].get("num_gpus")
    }


def queue_of(folder: str) -> tuple[Queue, int]:
    """The gateways' queue, and how many of them there are at least."""
    gateway = deployments(folder)["Gateway"]
    config = GatewayConfig.model_validate(gateway["user_config"])
    return config.queue, gateway["autoscaling_config"]["min_replicas"]


def group(folder: str, name: str) -> dict[str, Any]:
    groups = service(folder)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return next(one for one in groups if one["groupName"] == name)


def test_there_is_an_overlay_for_pictures_and_one_for_texts_on_cards():
    served = {folder: {MODALITIES_OF[name.partition("@")[0]] for name in encoders(folder)} for folder in ON_CARDS}
    assert served["overlays/gpu"] == served["overlays/ha-gpu"] == {"image"}
    assert served["overlays/gpu-text"] == {"image", "text"}


MODALITIES_OF = {spec.model: spec.type for spec in Catalog.load().specs()}


@on_cards
def test_a_card_computes_fp16_versions_whose_files_are_preloaded_and_to_which_the_gateway_routes(folder):
    catalog = Catalog.load()
    preloaded = only(built(folder), "ConfigMap", "embedserve-preload")["data"]["EMBEDSERVE_PRELOAD"].split()
    routes = deployments(folder)["Gateway"]["user_config"]["models"]
    assert encoders(folder)
    for reference, encoder in encoders(folder).items():
        artifact = encoder["user_config"]["artifact"]
        assert catalog.find(artifact).precision == "fp16"
        assert artifact == reference, "whoever keeps vectors must see that they are other ones"
        assert artifact in preloaded
        model, _, version = reference.partition("@")
        assert routes[model]["versions"].get(version, 0) > 0
        assert encoder["user_config"]["provider"] == "cuda"


@on_cards
def test_two_of_the_largest_batches_are_under_way_in_each_encoder_with_as_few_gateways_as_there_may_be(folder):
    queue, gateways = queue_of(folder)
    for reference, encoder in encoders(folder).items():
        modality = MODALITIES_OF[reference.partition("@")[0]]
        largest = encoder["user_config"]["batch_cost"] // MODALITIES[modality].unit_cost
        if modality == "image":
            bucket = image_buckets(largest).rows[-1]
            assert queue.call_images * queue.calls_per_replica * gateways >= RESIDENT * bucket
            # One picture a request: they are let in, and as many again that wait meanwhile.
            assert queue.open_requests * gateways >= 2 * RESIDENT * bucket
        else:
            assert queue.call_cost * queue.calls_per_replica * gateways >= RESIDENT * largest
            assert queue.waiting_items * gateways >= BARS["text"] / 5  # a fifth of a second's


@on_cards
def test_decoders_have_the_cores_that_all_cards_of_the_overlay_need(folder):
    found = deployments(folder)
    cards = found["ImageEncoder"]["autoscaling_config"]["max_replicas"]
    decoder = found["Decoder"]
    cores = decoder["autoscaling_config"]["max_replicas"] * decoder["ray_actor_options"]["num_cpus"]
    assert cores >= decoder_cpus(BARS["image"] * cards, DECODE_S)


@on_cards
def test_the_groups_grow_to_what_their_deployments_may_ask_for(folder):
    """First fit, largest first, with as many replicas on a node as the deployment allows."""
    for name, resource in (("cpu", "num_cpus"), ("gpu", "num_gpus")):
        limits = pods(service(folder))[name]["spec"]["containers"][0]["resources"]["limits"]
        size = float(limits["cpu"] if name == "cpu" else limits["nvidia.com/gpu"])
        mine = [
            d for d in deployments(folder).values() if bool(d["ray_actor_options"].get("num_gpus")) == (name == "gpu")
        ]
        nodes: list[tuple[float, set[str]]] = []
        for one in sorted(mine, key=lambda d: -d["ray_actor_options"][resource]):
            for _ in range(one["autoscaling_config"]["max_replicas"]):
                wanted, alone = one["ray_actor_options"][resource], one.get("max_replicas_per_node") == 1
                fits = (i for i, (left, on) in enumerate(nodes) if left >= wanted and not (alone and one["name"] in on))
                at = next(fits, len(nodes))
                if at == len(nodes):
                    nodes.append((size, set()))
                left, on = nodes[at]
                nodes[at] = (left - wanted, on | {one["name"]})
        assert group(folder, name)["maxReplicas"] >= len(nodes), f"{len(nodes)} nodes of the group {name}"
        least = sum(d["autoscaling_config"]["min_replicas"] * d["ray_actor_options"][resource] for d in mine)
        assert group(folder, name)["minReplicas"] >= ceil(least / size)


CUDA = re.compile(r"^nvidia-cuda-runtime==(\d+)\.", re.MULTILINE)
DRIVERS = {"13": 580}  # the oldest that runs a CUDA of this number, as NVIDIA's table of compatibility has it


def test_image_manifests_and_docs_ask_for_the_driver_that_the_locked_wheels_need():
    (major,) = CUDA.findall((ROOT / "requirements" / "gpu.txt").read_text(encoding="utf-8"))
    docs = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    required = f"cuda>={major}.0"
    assert f'NVIDIA_REQUIRE_CUDA="{required}"' in image
    assert f"| {major}.x | {DRIVERS[major]} |" in docs
    for folder in OVERLAYS:
        for name, template in pods(service(folder)).items():
            told = environment(template["spec"]["containers"][0]).get("NVIDIA_REQUIRE_CUDA")
            assert told == (required if name == "gpu" else None)


def test_the_image_finds_driver_and_nvidia_smi_where_google_mounts_them():
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8").partition(" AS gpu\n")[2]
    assert "LD_LIBRARY_PATH=/usr/local/nvidia/lib64" in image
    assert "PATH=$PATH:/usr/local/nvidia/bin" in image
    assert ":/usr/local/nvidia/bin\"' >> /etc/profile.d/embedserve.sh" in image  # login shells set PATH anew


@pytest.mark.parametrize("overlay", ["gpu", "ha-gpu", "gpu-text"])
def test_nvidias_runtime_is_named_for_gpu_pods_alone_and_only_with_its_component(tmp_path, overlay):
    kustomization = {"resources": [f"../{overlay}"], "components": ["../../components/nvidia-runtime"]}
    named = pods(only(built_beside(tmp_path, kustomization), "RayService"))
    assert {name: template["spec"].get("runtimeClassName") for name, template in named.items()} == {
        "head": None,
        "cpu": None,
        "gpu": "nvidia",
    }
    assert all("runtimeClassName" not in template["spec"] for template in pods(service(f"overlays/{overlay}")).values())
    assert (K8S / "components" / "nvidia-runtime").is_dir()
