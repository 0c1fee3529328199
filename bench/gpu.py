"""A card, its ceiling, and what the models make of it: ``make bench-gpu``. On a CPU it shows that the measurement works.

One run measures: a large matrix product, each model at growing batches as a share of it, fp16 beside fp32, whether an
input's vector depends on its batch, a swap with both artifacts on the card, and the service over HTTP.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import onnxruntime as ort
import yaml
from rich.console import Console
from rich.table import Table

from bench import wrk
from bench.bodies import Body, PictureBody, TextBody
from bench.gpu_matrix import IMAGE_FLOP, ceiling, text_flop
from bench.gpu_probe import Swap, Throughput, batches, fidelity, invariance, swap, throughputs
from bench.swap import service
from bench.texts import Texts
from models.catalog.catalog import ROOT, Catalog
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.engine.buckets import IMAGES
from models.engine.cards import find
from models.engine.providers import CPU, WISHES, Wish, choose, preload
from models.engine.session import EngineOptions

RESULTS = ROOT / "bench" / "results"
TOKENS = 16
CLIENTS = 64
MODELS = {
    "image": ("image-embedding@1.2.0", "image-embedding@1.0.0"),
    "text": ("text-embedding@1.2.0", "text-embedding@1.0.0"),
}
FIDELITY_INPUTS = 64
BARS = {"image": 12_000.0, "text": 150_000.0}  # inputs per second on an H100
COSINE_BAR = 0.9995


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    matrix: int
    images: tuple[int, ...]
    texts: tuple[int, ...]
    seconds: float


CARD = Scale(8192, IMAGES, (1, 4, 16, 64, 256, 512, 1024, 2048), 3.0)
STAND_IN = Scale(1024, (1, 4, 16), (1, 16, 64), 1.0)


@dataclass(frozen=True)
class ModelResult:
    """Of one model."""

    reference: str
    provider: str
    throughputs: list[Throughput]
    cosine_mean: float
    cosine_lowest: float
    drift: dict[int, float]
    swap: Swap


@dataclass(frozen=True)
class HttpResult:
    """Of the service."""

    load: str
    items_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    generator_cpu: float


def measure_model(kind: str, wish: Wish, scale: Scale, flops: float) -> ModelResult:
    """One model at its engine; on a card the fp16 artifact, on a CPU, which has no fp16, the fp32 one."""
    on_cpu = choose(wish, ort.get_available_providers())[0] == CPU
    fp16, fp32 = MODELS[kind]
    served = fp32 if on_cpu else fp16
    sizes = scale.images if kind == "image" else scale.texts
    options = EngineOptions(provider=wish, most_images=sizes[-1], most_tokens=max(sizes[-1] * TOKENS, 512))

    def load(reference: str, how: EngineOptions) -> Embedder:
        return open_embedder(pull(Catalog.load().find(reference), allow_synthetic=True), how)

    embedder = load(served, options)
    flop = IMAGE_FLOP if kind == "image" else text_flop(TOKENS)
    mean, lowest = fidelity(
        load(fp16, options), load(fp32, EngineOptions()), TOKENS, min(FIDELITY_INPUTS, 4 * sizes[-1])
    )
    return ModelResult(
        served,
        embedder.engine.provider,
        throughputs(batches(embedder, TOKENS), sizes, flop, flops, scale.seconds),
        mean,
        lowest,
        invariance(embedder, TOKENS, sizes),
        swap(
            embedder,
            lambda: load(fp32 if served == fp16 else fp16, options),
            TOKENS,
            sizes[len(sizes) // 2],
            scale.seconds,
        ),
    )


def measure_http(wish: Wish, seconds: float) -> Iterator[HttpResult]:
    """The service as shipped, its encoders on the card (half of it each), one replica of each kind, no cache."""
    document = copy.deepcopy(yaml.safe_load((ROOT / "serve_config.yaml").read_text(encoding="utf-8")))
    on_cpu = choose(wish, ort.get_available_providers())[0] == CPU
    gateway, *encoders = (app["deployments"][0] for app in document["applications"])
    gateway["user_config"]["cache"] = {"bytes": 0}
    for app in document["applications"]:
        app["deployments"][0]["autoscaling_config"].update(min_replicas=1, max_replicas=1)
    for encoder, kind in zip(encoders, ("text", "image"), strict=True):
        encoder["user_config"].update(provider=wish, artifact=MODELS[kind][1 if on_cpu else 0])
        if not on_cpu:
            encoder["user_config"]["batch_cost"] = 16384
            encoder.setdefault("ray_actor_options", {})["num_gpus"] = 0.5
    texts = Texts.of(Catalog.load().find(MODELS["text"][1]).graph.with_suffix(".tokenizer.json"), TOKENS)
    bodies: dict[str, tuple[Body, int]] = {
        "1 text": (TextBody("/v1/embeddings", "text-embedding", texts, 1), 1),
        "16 texts": (TextBody("/v1/embeddings", "text-embedding", texts, 16), 16),
        "1 picture": (PictureBody("/v1/embeddings/image?model=image-embedding", "image-embedding"), 1),
    }
    with service(document) as (running, _):
        for number, (name, (body, items)) in enumerate(bodies.items(), 1):
            wrk.run(running.url, body, CLIENTS, 2, number * 10**9)
            sample = wrk.run(running.url, body, CLIENTS, seconds, number * 10**9 + 10**8)
            yield HttpResult(
                name,
                sample.rate * items,
                sample.p50_ms,
                sample.p99_ms,
                sample.failed + sample.broken,
                sample.generator_cpu,
            )


def show(console: Console, what: str, flops: float, models: list[ModelResult], http: list[HttpResult]) -> None:
    """Print tables; where no card computed, say so in each title."""
    note = "" if all(m.provider != CPU for m in models) else " (a CPU stands in: nothing here is a card's)"
    console.print(f"{what}: large matrix product {flops / 1e12:.3g} TFLOP/s{note}")
    for model in models:
        unit = "pictures/s" if model.reference.startswith("image") else f"texts/s of {TOKENS} tokens"
        table = Table(
            "batch",
            unit,
            "share of the ceiling",
            "alone against in the batch",
            title=f"{model.reference} on {model.provider}{note}",
        )
        for one in model.throughputs:
            drift = model.drift[one.batch]
            table.add_row(
                f"{one.batch}", f"{one.rate:,.0f}", f"{one.share:.1%}", "same bits" if drift == 0 else f"{drift:.1e}"
            )
        console.print(table)
        console.print(
            f"fp16 to fp32, cosine: mean {model.cosine_mean:.6f}, lowest {model.cosine_lowest:.6f} (bar {COSINE_BAR}); "
            f"swap, both resident: loaded in {model.swap.load_s:.1f} s, {model.swap.before:,.0f}/s before, "
            f"{model.swap.during:,.0f}/s meanwhile, {model.swap.after:,.0f}/s after"
        )
    if http:
        table = Table(
            "HTTP", "inputs/s", "p50, ms", "p99, ms", "failed", "generator, cores", title=f"{CLIENTS} clients{note}"
        )
        for row in http:
            cells = (
                f"{row.items_per_s:,.0f}",
                f"{row.p50_ms:.1f}",
                f"{row.p99_ms:.1f}",
                f"{row.failed}",
                f"{row.generator_cpu:.2f}",
            )
            table.add_row(row.load, *cells)
        console.print(table)


def misses(models: list[ModelResult]) -> list[str]:
    """The bars that were missed on a card; they were set for an H100."""
    found = []
    for model in models:
        best = max(one.rate for one in model.throughputs)
        bar = BARS["image" if model.reference.startswith("image") else "text"]
        if best < bar:
            found.append(f"{model.reference}: {best:,.0f} inputs/s, bar {bar:,.0f}")
        if model.cosine_lowest < COSINE_BAR:
            found.append(f"{model.reference}: lowest cosine {model.cosine_lowest:.6f}, bar {COSINE_BAR}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write JSON; the exit status says whether a card missed its bars."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--provider", choices=WISHES, default="auto", help="what to measure; auto: the best there is")
    parser.add_argument("--quick", action="store_true", help="few batch sizes, a second each")
    parser.add_argument("--no-http", action="store_true", help="engines alone")
    options = parser.parse_args(arguments)
    providers = choose(options.provider, ort.get_available_providers())
    preload(providers)
    card = None if providers[0] == CPU else find()
    if options.provider not in ("auto", "cpu") and card is None:
        print(f"provider {options.provider} was asked for and no card answers nvidia-smi", file=sys.stderr)
        return 2
    wish: Wish = "cpu" if card is None else options.provider
    scale = STAND_IN if card is None or options.quick else CARD
    flops = ceiling(
        choose(wish, ort.get_available_providers()), scale.matrix, scale.seconds, EngineOptions().thread_count
    )
    models = [measure_model(kind, wish, scale, flops) for kind in MODELS]
    http = [] if options.no_http else list(measure_http(wish, 10 * scale.seconds))
    what = card.name if card else "CPU"
    show(Console(), what, flops, models, http)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-gpu.json"
    result: dict[str, Any] = {"device": what, "providers": providers, "onnxruntime": ort.__version__, "flops": flops}
    result |= {"models": [asdict(m) for m in models], "http": [asdict(h) for h in http]}
    path.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"written: {path.relative_to(ROOT)}", file=sys.stderr)
    missed = [] if card is None else misses(models)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
