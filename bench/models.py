"""Speed of the shipped models beside the plain torch export of the same weights, in one process: ``make bench-models``.

Ratios only mean something inside one run: the candidates take turns, and medians are compared. The plain exports come
from ``bench/export.py``, which runs in an environment of its own, since it needs torch.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from models.catalog import Catalog
from models.engine import Engine
from models.session import EngineOptions
from models.store import pull

ROUNDS = 15
SECONDS = 0.15  # of each candidate's turn
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
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            times[name].append((time.perf_counter() - start) / repeats[name] * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def engines(versions: dict[str, str], plain: Path, options: EngineOptions) -> dict[str, Engine]:
    """The plain export and the shipped versions, loaded alike."""
    catalog = Catalog.load()
    loaded = {"plain": Engine(plain, options)}
    for name, reference in versions.items():
        loaded[name] = Engine(pull(catalog.find(reference), allow_synthetic=True).graph, options)
    return loaded


def text_run(engine: Engine, count: int, length: int) -> Run:
    """Embed ``count`` texts of ``length`` tokens."""
    ids = np.random.default_rng(0).integers(1000, 20000, (count, length))
    return lambda: engine.run_text(ids, np.ones_like(ids))


def image_run(engine: Engine, count: int) -> Run:
    """Embed ``count`` pictures."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 224, 224, 3), np.uint8)
    return lambda: engine.run_image(pixels)


def main(folder: Path) -> None:
    """Print the table; ``folder`` holds plain_text.onnx and plain_vision.onnx."""
    options = EngineOptions(threads=2)
    table = Table("input", *(f"{name}, ms" for name in ("plain", "fp32", "int8")), "fp32 / plain", "int8 / plain")
    texts = engines(TEXT, folder / "plain_text.onnx", options)
    images = engines(IMAGE, folder / "plain_vision.onnx", options)
    rows: dict[str, dict[str, Run]] = {}
    for count, length in ((1, 12), (32, 12), (32, 128)):
        rows[f"{count} × {length} tokens"] = {name: text_run(e, count, length) for name, e in texts.items()}
    for count in (1, 8):
        rows[f"{count} × 224² pixels"] = {name: image_run(e, count) for name, e in images.items()}
    for label, candidates in rows.items():
        times = race(candidates)
        ratios = [f"{times['plain'] / times[name]:.2f}×" for name in ("fp32", "int8")]
        table.add_row(label, *(f"{value:.2f}" for value in times.values()), *ratios)
    Console().print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
