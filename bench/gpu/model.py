"""A model at its engine, beside its ceiling and another precision of itself."""

from __future__ import annotations

from dataclasses import dataclass

import onnxruntime as ort

from bench.gpu.matrix import IMAGE_FLOP, text_flop
from bench.gpu.probe import Swap, Throughput, batches, fidelity, invariance, swap, throughputs
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.engine.buckets import IMAGES
from models.engine.providers import CPU, Wish, choose
from models.engine.session import EngineOptions

TOKENS = 16
MODELS = {  # fp16 and fp32 of each modality
    "image": ("image-embedding@1.2.0", "image-embedding@1.0.0"),
    "text": ("text-embedding@1.2.0", "text-embedding@1.0.0"),
}
FIDELITY_INPUTS = 64


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
    """What was measured of one model."""

    reference: str
    provider: str
    throughputs: list[Throughput]
    cosine_mean: float
    cosine_lowest: float
    drift: dict[int, float]
    swap: Swap


def measure_model(modality: str, wish: Wish, scale: Scale, flops: float) -> ModelResult:
    """Measure one model: on a card its fp16 artifact, on a CPU, which has no fp16, its fp32 one."""
    on_cpu = choose(wish, ort.get_available_providers())[0] == CPU
    fp16, fp32 = MODELS[modality]
    served = fp32 if on_cpu else fp16
    sizes = scale.images if modality == "image" else scale.texts
    options = EngineOptions(
        provider=wish, largest_run=sizes[-1] if modality == "image" else max(sizes[-1] * TOKENS, 512)
    )

    def load(reference: str, how: EngineOptions) -> Embedder:
        return open_embedder(pull(Catalog.load().find(reference), allow_synthetic=True), how)

    embedder = load(served, options)
    flop = IMAGE_FLOP if modality == "image" else text_flop(TOKENS)
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
