"""Speed of the shipped models beside plain torch exports of the same weights, in one process: ``make bench-models``.

The candidates take turns and medians are compared: ratios mean something within one run only. The plain exports come
from ``plain_export.py``, which runs in an environment of its own, since it needs torch.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
from rich.console import Console
from rich.table import Table

from bench.models.memory import measure
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.engine.session import EngineOptions
from models.inputs.preparation import Preparation

ROUNDS = 15
THREADS = 2
PAUSE_S = 0.1  # before a turn: threads of the candidate before spin for a while until they sleep
SECONDS = 0.15  # of a turn
TEXT = {"fp32": "text-embedding@1.0.0", "int8": "text-embedding@1.1.0"}
IMAGE = {"fp32": "image-embedding@1.0.0", "int8": "image-embedding@1.1.0"}

Run = Callable[[], object]


def race(candidates: dict[str, Run]) -> dict[str, float]:
    """Median milliseconds of each candidate; they take turns."""
    repeats = {}
    for name, run in candidates.items():
        run()
        start = time.perf_counter()
        run()
        repeats[name] = max(1, int(SECONDS / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, run in candidates.items():
            time.sleep(PAUSE_S)
            run()
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            times[name].append((time.perf_counter() - start) / repeats[name] * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def embedders(versions: dict[str, str]) -> dict[str, Embedder]:
    """The shipped versions."""
    catalog, options = Catalog.load(), EngineOptions(threads=THREADS)
    return {
        name: open_embedder(pull(catalog.find(ref), allow_synthetic=True), options) for name, ref in versions.items()
    }


def plain_session(path: Path) -> ort.InferenceSession:
    """The plain export with ONNX Runtime's defaults, the number of threads excepted."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = THREADS
    return ort.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])


def text_runs(plain: ort.InferenceSession, shipped: dict[str, Embedder], count: int, length: int) -> dict[str, Run]:
    """Embed ``count`` texts of ``length`` tokens; the plain export does not pool or normalise."""
    ids = np.random.default_rng(0).integers(1000, 20000, (count, length))
    rows, mask = list(ids.astype(np.int32)), np.ones_like(ids)
    every = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    feeds = {i.name: every[i.name] for i in plain.get_inputs()}
    runs: dict[str, Run] = {"plain": lambda: plain.run(None, feeds)}
    return runs | {name: partial(embedder.embed_rows, rows) for name, embedder in shipped.items()}


def image_runs(plain: ort.InferenceSession, shipped: dict[str, Embedder], count: int) -> dict[str, Run]:
    """Embed ``count`` pictures; the plain export gets normalised pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 224, 224, 3), np.uint8)
    feeds = {plain.get_inputs()[0].name: Preparation.clip(224).values(pixels)}
    runs: dict[str, Run] = {"plain": lambda: plain.run(None, feeds)}
    return runs | {name: partial(embedder.embed_rows, list(pixels)) for name, embedder in shipped.items()}


def footprints() -> Table:
    """Resident memory of each version, in a process of its own."""
    table = Table("version", "process, MB", "loaded, at most", "unloaded once", "unloaded 20 times")
    for reference in (*TEXT.values(), *IMAGE.values()):
        memory = measure(pull(Catalog.load().find(reference), allow_synthetic=True).graph)
        table.add_row(reference, *(f"{value:.0f}" for value in astuple(memory)))
    return table


def main(folder: Path) -> None:
    """Print the table; ``folder`` holds plain_text.onnx and plain_vision.onnx."""
    table = Table("input", *(f"{name}, ms" for name in ("plain", "fp32", "int8")), "fp32 / plain", "int8 / plain")
    texts, plain_text = embedders(TEXT), plain_session(folder / "plain_text.onnx")
    images, plain_vision = embedders(IMAGE), plain_session(folder / "plain_vision.onnx")
    rows: dict[str, dict[str, Run]] = {}
    for count, length in ((1, 12), (32, 12), (32, 128)):
        rows[f"{count} × {length} tokens"] = text_runs(plain_text, texts, count, length)
    for count in (1, 8):
        rows[f"{count} × 224² pixels"] = image_runs(plain_vision, images, count)
    for label, candidates in rows.items():
        times = race(candidates)
        ratios = [f"{times['plain'] / times[name]:.2f}×" for name in ("fp32", "int8")]
        table.add_row(label, *(f"{value:.2f}" for value in times.values()), *ratios)
    Console().print(table, footprints())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
