"""A configuration whose encoders run on cards: fp16 versions, decoders beside them, and queues that keep a card busy."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from deployments.autoscaling.law import decoder_cpus
from deployments.cluster.applications import gateways, sleeps
from deployments.config.names import DECODER_NAME, application_name, deployment_name
from deployments.config.queue import Queue
from models.engine.buckets import image_buckets
from models.modalities import MODALITIES

Document = dict[str, Any]
Entries = Mapping[str, Mapping[str, Mapping[str, Any]]]  # `models` of a catalogue: by model and version
PLACEMENT = {"num_cpus": 3, "num_gpus": 1}  # of the 4 cores beside each card, one stays for HAProxy and the raylet
DOWNSCALE_S = 900  # a card's node takes minutes to come back
# What a card is to compute, which none has proved (docs/gpu.md): decoders and queues follow from it.
PICTURES_PER_S = 25_000
DECODE_S = 0.0036  # of one core, a JPEG of 640 × 480
# More than the core that an encoder leaves free beside its card, so that decoders are placed on nodes without one.
DECODER_CPUS = 2
RESIDENT = 2  # batches that a card has at a time: one computes while the inputs of the other are copied


@dataclass(frozen=True)
class CardBatch:
    """The largest batch of a modality on a card."""

    batch_cost: int  # tokens, or 64 for a picture
    policy: str
    waiting_items: int = Queue().waiting_items  # that may wait in a gateway


BATCHES = {
    "image": CardBatch(8192, "deployments.autoscaling.policies:ImageGpuPolicy"),  # 128 pictures
    # 1,024 texts of 16 tokens, 7 ms at 150,000 texts/s. A fifth of a second's texts may wait, which are 16 lists of 2,048.
    "text": CardBatch(16_384, "deployments.autoscaling.policies:TextGpuPolicy", 32_768),
}


def run_on_cards(document: Document, modalities: Collection[str], entries: Entries) -> None:
    """Change a configuration in place, so that the encoders of ``modalities`` have a card each.

    Args:
        document: of a Serve file.
        modalities: ``image``, ``text`` or both.
        entries: of the catalogue; a version whose model has an fp16 one is replaced by that.
    """
    for app in document["applications"]:
        modality = _modality(app)
        asleep = any(
            map(sleeps, app.get("deployments", []))
        )  # it stays on processors: a card's node takes minutes to come
        if modality is not None and modality in modalities and not asleep:
            _take_fp16(document, app, entries)
            _place(app["deployments"][0], BATCHES[modality])
            if MODALITIES[modality].portable:
                _separate_decoder(app)
    for app in gateways(document):
        for deployment in app["deployments"]:
            _feed(deployment, modalities)


def _modality(app: Document) -> str | None:
    names = {deployment["name"] for deployment in app.get("deployments", [])}
    return next((modality for modality in BATCHES if deployment_name(modality) in names), None)


def _take_fp16(document: Document, app: Document, entries: Entries) -> None:
    """Serve the fp16 version under its own name, so that whoever keeps vectors sees that they are other ones."""
    model, _, old = app["args"]["model"].partition("@")
    # As built: no card has proved the variant for cards yet.
    plain = {version: entry for version, entry in entries.get(model, {}).items() if "variant" not in entry}
    halves = [version for version, entry in plain.items() if entry.get("precision") == "fp16"]
    name = application_name(model, halves[-1]) if halves else app["name"]
    if old in halves or not halves or any(other["name"] == name for other in document["applications"]):
        return
    new = halves[-1]
    app["name"], app["args"]["model"] = name, f"{model}@{new}"
    config = app["deployments"][0]["user_config"]
    if config.get("artifact") == f"{model}@{old}":
        config["artifact"] = f"{model}@{new}"
        config.pop("hash", None)
    for gateway in gateways(document):
        for deployment in gateway["deployments"]:
            _reroute(deployment["user_config"], model, old, new)


def _reroute(config: Document, model: str, old: str, new: str) -> None:
    """Name another version wherever routes and aliases name one."""
    routes = config["models"].get(model, {})
    for key in ("versions", "shadow"):
        if key in routes:
            routes[key] = {new if version == old else version: weight for version, weight in routes[key].items()}
    for override in routes.get("overrides", []):
        override["version"] = new if override["version"] == old else override["version"]
    if "scale_to_zero" in routes:
        routes["scale_to_zero"] = [new if version == old else version for version in routes["scale_to_zero"]]
    if routes.get("fallback") == old:
        routes["fallback"] = new
    aliases = config.get("aliases", {})
    config["aliases"] = {
        name: f"{model}@{new}" if target == f"{model}@{old}" else target for name, target in aliases.items()
    }


def _place(encoder: Document, batch: CardBatch) -> None:
    encoder["ray_actor_options"].update(PLACEMENT)
    scaling = {"policy": {"policy_function": batch.policy}, "downscale_delay_s": DOWNSCALE_S}
    encoder["autoscaling_config"].update(scaling)
    # No card is an error, not a slow replica.
    encoder["user_config"].update({"provider": "cuda", "batch_cost": batch.batch_cost})


def _separate_decoder(app: Document) -> None:
    """Pictures are decoded in a deployment of their own, which scales as encoders on processors do."""
    app["args"]["decode"] = "separate"
    encoder = app["deployments"][0]
    scaling = copy.deepcopy(encoder["autoscaling_config"])
    scaling["policy"] = {"policy_function": "deployments.autoscaling.policies:ImageCpuPolicy"}
    scaling["downscale_delay_s"] = 300
    scaling["min_replicas"] = max(scaling.get("min_replicas", 1), 1)
    scaling["max_replicas"] = decoders(scaling.get("max_replicas", 1))
    app["deployments"].append(
        {
            "name": DECODER_NAME,
            "max_ongoing_requests": encoder["max_ongoing_requests"],
            "autoscaling_config": scaling,
            "ray_actor_options": {"num_cpus": DECODER_CPUS},
        }
    )


def decoders(cards: int) -> int:
    """How many decoders keep so many cards busy."""
    return math.ceil(decoder_cpus(PICTURES_PER_S * cards, DECODE_S) / DECODER_CPUS)


def _feed(gateway: Document, modalities: Collection[str]) -> None:
    """Keep twice the largest batch under way in each encoder, with as few gateways as there may be.

    Requests of one picture each must be let in in that number too, and as many again that wait meanwhile.
    """
    config = gateway["user_config"]
    told = Queue.model_validate(config.get("queue", {}))
    calls = told.calls_per_replica * max(gateway.get("autoscaling_config", {}).get("min_replicas", 1), 1)
    wanted = {"waiting_items": max(BATCHES[modality].waiting_items for modality in modalities)}
    if "image" in modalities:
        largest = image_buckets(BATCHES["image"].batch_cost // MODALITIES["image"].unit_cost).rows[-1]
        wanted["call_images"] = math.ceil(RESIDENT * largest / calls)
        wanted["open_requests"] = 2 * wanted["call_images"] * told.calls_per_replica
    if "text" in modalities:
        wanted["call_cost"] = math.ceil(RESIDENT * BATCHES["text"].batch_cost / calls)
    larger = {key: value for key, value in wanted.items() if value > getattr(told, key)}
    if larger:
        config["queue"] = {**config.get("queue", {}), **larger}
