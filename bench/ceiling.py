"""The model alone in one process: what a server could reach if serving cost nothing.

Runs as a worker that answers one JSON line for each that it reads, so that models stay loaded between measurements
and nothing of it runs while a server is measured.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from bench.pictures import scenes
from bench.stats import percentile
from bench.texts import Texts
from models.catalog import Catalog
from models.embedder import Embedder, ImageEmbedder, TextEmbedder, open_embedder
from models.engine import EngineOptions
from models.image import decode
from models.store import pull

THREADS = 2
TEXT_BATCHES = (8, 32, 64, 256)  # beside the largest that the load allows: the best of them is the ceiling
IMAGE_BATCHES = (4, 8, 16)
TRIAL_S = 0.25
SPINS_US = (0, 20, 1000)  # how long threads may spin while they wait: not at all, what we serve with, long
TURNS = 2  # so that a busy moment of the machine does not choose
DECODERS = ThreadPoolExecutor(THREADS)


@cache
def embedder(reference: str, spin_us: int) -> Embedder:
    """A loaded model."""
    artifact = pull(Catalog.load().find(reference), allow_synthetic=True)
    return open_embedder(artifact, EngineOptions(threads=THREADS, spin_us=spin_us))


@cache
def _texts(reference: str, tokens: int) -> Texts:
    model = embedder(reference, 0)
    assert model.artifact.tokenizer
    return Texts.of(model.artifact.tokenizer, tokens)


@cache
def _best(reference: str, tokens: int, outstanding: int) -> tuple[int, int]:
    """Which setting is the fastest for what a load allows to be computed together."""
    sizes = {n for n in (TEXT_BATCHES if tokens else IMAGE_BATCHES) if n < outstanding} | {min(outstanding, 256)}
    trials = [(spin_us, size) for spin_us in SPINS_US for size in sorted(sizes)]
    for spin_us in SPINS_US:
        _measure(reference, spin_us, tokens, min(outstanding, 8), TRIAL_S, 0)
    found = [(_trial(reference, tokens, trial), trial) for _ in range(TURNS) for trial in trials]
    return max(found)[1]


def _trial(reference: str, tokens: int, trial: tuple[int, int]) -> float:
    spin_us, size = trial
    return _measure(reference, spin_us, tokens, size, TRIAL_S, 0)["rate"]


def _measure(reference: str, spin_us: int, tokens: int, batch: int, seconds: float, first: int) -> dict[str, float]:
    model = embedder(reference, spin_us)
    times: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        inputs = _inputs(reference, tokens, first + len(times) * batch, batch)
        before = time.perf_counter()
        _embed(model, inputs)
        times.append(time.perf_counter() - before)
    return {
        "rate": len(times) * batch / sum(times),
        "p50_ms": percentile(times, 50) * 1e3,
        "p99_ms": percentile(times, 99) * 1e3,
    }


def _inputs(reference: str, tokens: int, first: int, count: int) -> list[Any]:
    if tokens:
        return list(_texts(reference, tokens).batch(first, count))
    return [scenes()[n % len(scenes())].raw(n) for n in range(first, first + count)]


def _embed(model: Embedder, inputs: list[Any]) -> Any:
    if isinstance(model, TextEmbedder):
        return model.embed(inputs)
    pixels = np.stack(list(DECODERS.map(lambda data: decode(data, model.size), inputs)))
    return model.embed_pixels(pixels)


def answer(question: dict[str, Any]) -> Any:
    """Measure a load, or embed inputs each alone."""
    reference = question["model"]
    if "seconds" in question:
        spin_us, batch = _best(reference, question["tokens"], question["outstanding"])
        result = _measure(reference, spin_us, question["tokens"], batch, question["seconds"], question["first"])
        return {**result, "batch": batch, "spin_us": spin_us}
    model = embedder(reference, 0)
    if isinstance(model, ImageEmbedder):
        return [model.embed([base64.b64decode(data)])[0].tolist() for data in question["images"]]
    return [model.embed([text])[0].tolist() for text in question["texts"]]


def main() -> None:
    """Answer until the questions end."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
