"""An engine on its card: throughput by batch, fidelity, invariance, and a swap with both artifacts resident."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.embedder import Embedder, warm_up
from models.engine.card_engine import SLOTS
from models.fidelity import cosines
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder

Batch = Callable[[int], Callable[[], NDArray[np.float32]]]


@dataclass(frozen=True)
class Throughput:
    """What was measured of one batch size."""

    batch: int
    rate: float  # inputs per second, two batches in flight
    share: float  # of the ceiling, in floating-point operations


@dataclass(frozen=True)
class Swap:
    """How a second artifact that loads beside the first slows it."""

    load_s: float
    before: float  # inputs per second
    during: float
    after: float  # of the new artifact


def batches(embedder: Embedder, tokens: int) -> Batch:
    """Makes a run of a number of inputs: random pictures, or texts of ``tokens`` random tokens."""
    generator = np.random.default_rng(0)

    def make(count: int) -> Callable[[], NDArray[np.float32]]:
        if isinstance(embedder, ImageEmbedder):
            pixels = generator.integers(0, 256, (count, *embedder.shape), np.uint8)
            return lambda: embedder.run_pixels(pixels)
        assert isinstance(embedder, TextEmbedder)
        ids = generator.integers(1000, 20000, (count, tokens))
        mask = np.ones_like(ids)
        return lambda: embedder.run_padded(ids, mask)

    return make


def rate(run: Callable[[], object], count: int, seconds: float, callers: int = SLOTS) -> float:
    """Inputs per second with so many callers, one for each slot of the engine if nothing else is said; the first run of each is not counted."""
    done = [0] * callers
    start, end = threading.Barrier(callers + 1), threading.Event()

    def work(slot: int) -> None:
        run()
        start.wait()
        while not end.is_set():
            run()
            done[slot] += 1

    with ThreadPoolExecutor(callers) as pool:
        works = [pool.submit(work, slot) for slot in range(callers)]
        start.wait()
        began = time.perf_counter()
        end.wait(seconds)
        end.set()
        for one in works:
            one.result()
        taken = time.perf_counter() - began
    return sum(done) * count / taken


def throughputs(make: Batch, sizes: Sequence[int], flop: float, ceiling: float, seconds: float) -> list[Throughput]:
    """Measure every batch size; ``flop`` is of one input, ``ceiling`` is per second."""
    rates = [(size, rate(make(size), size, seconds)) for size in sizes]
    return [Throughput(size, value, value * flop / ceiling) for size, value in rates]


def fidelity(embedder: Embedder, reference: Embedder, tokens: int, count: int) -> tuple[float, float]:
    """Mean and lowest cosine between the vectors of two artifacts for the same inputs."""
    first, second = (batches(one, tokens)(count)() for one in (embedder, reference))
    values = cosines(first, second)
    return float(values.mean()), float(values.min())


def invariance(embedder: Embedder, tokens: int, sizes: Sequence[int]) -> dict[int, float]:
    """By batch size: the largest difference between an input's vector in that batch and alone; 0: the same bits."""
    found = {}
    generator = np.random.default_rng(1)
    for size in sizes:
        if isinstance(embedder, ImageEmbedder):
            pixels = generator.integers(0, 256, (size, *embedder.shape), np.uint8)
            together, alone = embedder.run_pixels(pixels), embedder.run_pixels(pixels[-1:])
        else:
            assert isinstance(embedder, TextEmbedder)
            ids = generator.integers(1000, 20000, (size, tokens))
            mask = np.ones_like(ids)
            together, alone = embedder.run_padded(ids, mask), embedder.run_padded(ids[-1:], mask[-1:])
        found[size] = float(np.abs(together[-1:] - alone).max())
    return found


def swap(old: Embedder, new: Callable[[], Embedder], tokens: int, size: int, seconds: float) -> Swap:
    """Keep the old artifact busy while the new one loads and warms up beside it."""
    run = batches(old, tokens)(size)
    before = rate(run, size, seconds)
    loaded: list[Embedder] = []
    done, end = 0, threading.Event()

    def load() -> None:
        try:
            embedder = new()
            warm_up(embedder)
            loaded.append(embedder)
        finally:
            end.set()

    loader = threading.Thread(target=load)
    began = time.perf_counter()
    loader.start()
    while not end.is_set():
        run()
        done += size
    taken = time.perf_counter() - began
    loader.join()
    if not loaded:
        raise RuntimeError("the second artifact did not load beside the first; the log has the reason")
    return Swap(taken, before, done / taken, rate(batches(loaded[0], tokens)(size), size, seconds))
