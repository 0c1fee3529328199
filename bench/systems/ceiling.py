"""The model alone in one process: what a server could reach if serving cost nothing.

Runs as a process that answers each line of JSON on its input with one, so that models stay loaded between measurements
and nothing of it runs while a server is measured.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np

from bench.loads.pictures import scenes
from bench.loads.texts import Texts
from bench.report.stats import percentile
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.engine.session import EngineOptions
from models.inputs.image import decode
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder

THREADS = 2
TEXT_BATCHES = (8, 32, 64, 256)  # tried beside the largest that the load allows; the fastest is the ceiling
IMAGE_BATCHES = (4, 8, 16)
TRIAL_S = 0.25
# How two threads share a batch: both work on every operator and, while they wait for each other, sleep at once, spin as
# briefly as the service lets them, or spin long; or each computes half of the inputs in a run of its own ("halves").
WAYS = ("spin 0 µs", "spin 20 µs", "spin 1000 µs", "halves")
ALONE = WAYS[0]
TURNS = 2  # so that one busy moment of the machine does not decide
DECODERS = ThreadPoolExecutor(THREADS)
HALVES = ThreadPoolExecutor(THREADS)


@cache
def embedder(reference: str, way: str) -> Embedder:
    """A loaded model."""
    artifact = pull(Catalog.load().find(reference), allow_synthetic=True)
    if way == "halves":
        return open_embedder(artifact, EngineOptions(threads=1))
    return open_embedder(artifact, EngineOptions(threads=THREADS, spin_us=int(way.split()[1])))


@cache
def _texts(reference: str, tokens: int) -> Texts:
    model = embedder(reference, ALONE)
    assert model.artifact.tokenizer
    return Texts.of(model.artifact.tokenizer, tokens)


@cache
def _best(reference: str, tokens: int, outstanding: int) -> tuple[str, int]:
    """The fastest way and batch size, where a load allows ``outstanding`` inputs to be computed together."""
    sizes = {n for n in (TEXT_BATCHES if tokens else IMAGE_BATCHES) if n < outstanding} | {min(outstanding, 256)}
    trials = [(way, size) for way in WAYS for size in sorted(sizes)]
    for way in WAYS:
        _measure(reference, way, tokens, min(outstanding, 8), TRIAL_S, 0)
    found = [(_trial(reference, tokens, trial), trial) for _ in range(TURNS) for trial in trials]
    return max(found)[1]


def _trial(reference: str, tokens: int, trial: tuple[str, int]) -> float:
    way, size = trial
    return _measure(reference, way, tokens, size, TRIAL_S, 0)["rate"]


def _measure(reference: str, way: str, tokens: int, batch: int, seconds: float, first: int) -> dict[str, float]:
    model = embedder(reference, way)
    parts = min(batch, THREADS) if way == "halves" else 1
    times: list[float] = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        inputs = _inputs(reference, tokens, first + len(times) * batch, batch)
        before = time.perf_counter()
        if parts == 1:
            _embed(model, inputs)
        else:
            list(HALVES.map(partial(_embed, model), (inputs[part::parts] for part in range(parts))))
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
    assert isinstance(model, ImageEmbedder)
    if model.engine.options.threads == 1:
        return model.embed(inputs)
    pixels = np.stack(list(DECODERS.map(lambda data: decode(data, model.framing), inputs)))
    return model.embed_pixels(pixels)


def answer(question: dict[str, Any]) -> Any:
    """Measure a load, or embed each input alone."""
    reference = question["model"]
    if "seconds" in question:
        way, batch = _best(reference, question["tokens"], question["outstanding"])
        result = _measure(reference, way, question["tokens"], batch, question["seconds"], question["first"])
        return {**result, "batch": batch, "way": way}
    model = embedder(reference, ALONE)
    if isinstance(model, ImageEmbedder):
        return [model.embed([base64.b64decode(data)])[0].tolist() for data in question["images"]]
    return [model.embed_items([text])[0].tolist() for text in question["texts"]]


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
