"""The service over HTTP, its encoders on the card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnxruntime as ort

from bench.gpu.model import MODELS, TOKENS
from bench.loads import wrk
from bench.loads.bodies import Body, PictureBody, TextBody
from bench.loads.texts import Texts
from bench.systems.ours import one_replica, shipped, text_tokenizer
from bench.systems.running import running
from models.engine.providers import CPU, Wish, choose

CLIENTS = 64


@dataclass(frozen=True)
class HttpResult:
    """One load on the service."""

    load: str
    items_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    generator_cpu: float
    modality: str


def measure_http(wish: Wish, seconds: float) -> Iterator[HttpResult]:
    """The service as shipped, without a cache, one replica of everything; each encoder has half of the card."""
    document = shipped()
    on_cpu = choose(wish, ort.get_available_providers())[0] == CPU
    gateway, *encoders = (app["deployments"][0] for app in document["applications"])
    gateway["user_config"]["cache"] = {"bytes": 0}
    one_replica(document)
    for encoder, modality in zip(encoders, ("text", "image"), strict=True):
        encoder["user_config"].update(provider=wish, artifact=MODELS[modality][1 if on_cpu else 0])
        if not on_cpu:
            encoder["user_config"]["batch_cost"] = 16384
            encoder.setdefault("ray_actor_options", {})["num_gpus"] = 0.5
    texts = Texts.of(text_tokenizer(), TOKENS)
    bodies: dict[str, tuple[Body, int]] = {
        "1 text": (TextBody("/v1/embeddings", "text-embedding", texts, 1), 1),
        "16 texts": (TextBody("/v1/embeddings", "text-embedding", texts, 16), 16),
        "256 texts": (TextBody("/v1/embeddings", "text-embedding", texts, 256), 256),
        "1 picture": (PictureBody("/v1/embeddings/image?model=image-embedding", "image-embedding"), 1),
    }
    with running(document) as (service, _):
        for number, (name, (body, items)) in enumerate(bodies.items(), 1):
            wrk.run(service.url, body, CLIENTS, 2, number * 10**9)
            sample = wrk.run(service.url, body, CLIENTS, seconds, number * 10**9 + 10**8)
            yield HttpResult(
                name,
                sample.rate * items,
                sample.p50_ms,
                sample.p99_ms,
                sample.failed + sample.broken,
                sample.generator_cpu,
                "image" if isinstance(body, PictureBody) else "text",
            )
