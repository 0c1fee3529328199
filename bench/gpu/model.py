"""A model at its engine, beside its ceiling, another precision of itself and its variant for cards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.gpu.copies import Copies, copies
from bench.gpu.matrix import IMAGE_FLOP, text_flop
from bench.gpu.opening import Opening
from bench.gpu.probe import Swap, Throughput, batches, fidelity, invariance, swap, throughputs
from bench.gpu.replicas import Replicas, several, together
from models.catalog.catalog import Catalog
from models.catalog.record import is_synthetic
from models.catalog.store import pull
from models.engine.buckets import IMAGES

TOKENS = 16
NULL_ENGINE = "null engine"
MODELS = {  # fp16, fp32 and fp16's variant for cards of each modality
    "image": ("image-embedding@1.2.0", "image-embedding@1.0.0", "image-embedding@1.4.0"),
    "text": ("text-embedding@1.2.0", "text-embedding@1.0.0", "text-embedding@1.4.0"),
}
FIDELITY_INPUTS = 64
LARGE = (96, 192, 384, 512)  # batches of which copies are measured too


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    matrix: int
    images: tuple[int, ...]
    texts: tuple[int, ...]
    seconds: float
    replicas: tuple[int, ...]


CARD = Scale(8192, IMAGES, (1, 4, 16, 64, 96, 192, 256, 384, 512, 1024, 2048), 3.0, (1, 2, 3, 4))
STAND_IN = Scale(1024, (1, 4, 16), (1, 16, 64), 1.0, (1, 2))
NULL = Scale(512, LARGE, LARGE, 0.5, (1, 2))


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
    variant: list[Throughput] = field(default_factory=list)  # of the variant for cards
    variant_lowest: float | None = (
        None  # cosine of it to fp32; None: one of them has random weights here and the other has not
    )
    copies: list[Copies] = field(default_factory=list)
    replicas: list[Replicas] = field(default_factory=list)
    captured: Swap | str | None = None  # a swap of a replica that replays captured launches, or why it failed


def measure_model(modality: str, opening: Opening, scale: Scale, flops: float) -> ModelResult:
    """Measure one model: on a card its fp16 artifact, on a CPU, which has no fp16, its fp32 one."""
    fp16, fp32, variant = MODELS[modality]
    served = fp32 if opening.on_cpu else fp16
    sizes = scale.images if modality == "image" else scale.texts
    largest = sizes[-1] if modality == "image" else max(sizes[-1] * TOKENS, 512)
    embedder = opening.open(served, largest)
    flop = IMAGE_FLOP if modality == "image" else text_flop(TOKENS)
    exact = opening.open(fp32, largest) if opening.null else Opening("cpu").open(fp32, largest)
    count = min(FIDELITY_INPUTS, 4 * sizes[-1])
    mean, lowest = fidelity(opening.open(fp16, largest), exact, TOKENS, count)
    other = opening.open(variant, largest)
    middle = sizes[len(sizes) // 2]
    job: dict[str, Any] = {
        "job": "rate", "reference": served, "other": fp32 if served == fp16 else fp16, "wish": opening.wish,
        "null": opening.null, "largest": largest, "size": middle, "tokens": TOKENS, "seconds": scale.seconds, "graphs": False,
    }  # fmt: skip
    return ModelResult(
        served,
        NULL_ENGINE if opening.null else embedder.engine.provider,
        throughputs(batches(embedder, TOKENS), sizes, flop, flops, scale.seconds),
        mean,
        lowest,
        invariance(embedder, TOKENS, sizes),
        swap(embedder, lambda: opening.open(job["other"], largest), TOKENS, middle, scale.seconds),
        throughputs(batches(other, TOKENS), sizes, flop, flops, scale.seconds),
        fidelity(other, exact, TOKENS, count)[1] if _alike(variant, fp32) else None,
        [copies(embedder, TOKENS, size, scale.seconds) for size in sizes if size in LARGE or size == sizes[-1]],
        list(several(job, scale.replicas, card=not opening.on_cpu)),
        _captured(job),
    )


def _alike(*references: str) -> bool:
    """Whether the weights of all are random, or of none."""
    return len({is_synthetic(pull(Catalog.load().find(one), allow_synthetic=True)) for one in references}) == 1


def _captured(job: dict[str, Any]) -> Swap | str:
    """A swap under load of a replica that replays captured launches, in a process that may crash."""
    (found,) = together([{**job, "job": "swap", "graphs": True}])
    return found["failed"] if "failed" in found else Swap(**found)
