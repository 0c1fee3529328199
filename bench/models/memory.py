"""Memory of one model version over cycles of loading and unloading: ``python -m bench.models.memory GRAPH``.

A process of its own per version, so that nothing else moves its resident memory.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from models.engine import memory
from models.engine.engine import Engine
from models.engine.session import EngineOptions
from models.inputs.preparation import Preparation
from models.modalities.image import DEFAULT_SIDE, Image
from models.modalities.image_graph import fixed_shape, run_pixels
from models.modalities.text_graph import run_padded

ROOT = Path(__file__).resolve().parents[2]
CYCLES = 21
AROUND = 5  # cycles of which the median is taken, at the beginning and at the end: single ones vary by a tenth


@dataclass(frozen=True)
class Memory:
    """Resident megabytes."""

    before: float  # of a process that has loaded nothing yet
    loaded: float  # the most while loaded and running, in any cycle
    first: float  # after the first unloadings
    last: float  # after the twentieth


def measure(graph: Path) -> Memory:
    """Load, run and unload a graph in a fresh process, over and over.

    Raises:
        subprocess.CalledProcessError: it does not load.
    """
    command = [sys.executable, "-m", "bench.models.memory", str(graph)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    return Memory(**json.loads(done.stdout))


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def _runs(engine: Engine) -> list[Callable[[], object]]:
    if Image().takes(frozenset(engine.inputs)):
        size = (fixed_shape(engine) or (DEFAULT_SIDE,))[0]
        empty, prepared = np.zeros((4, size, size, 3), np.uint8), Preparation.clip(size)
        return [partial(run_pixels, engine, empty[:n], prepared) for n in (1, 4)]
    rows = [np.full((4, length), 2023) for length in (3, 60, 17)]
    return [lambda ids=ids: run_padded(engine, ids, np.ones_like(ids)) for ids in rows]  # type: ignore[misc]


def _cycle(graph: Path) -> tuple[float, float]:
    engine = Engine(graph, EngineOptions(threads=2))
    for run in _runs(engine):
        run()
    loaded = _resident()
    del engine, run
    memory.release()
    return loaded, _resident()


def main(graph: Path) -> None:
    """Print the figures as JSON."""
    before = _resident()
    cycles = [_cycle(graph) for _ in range(CYCLES)]
    after = [unloaded for _, unloaded in cycles]
    peak = max(loaded for loaded, _ in cycles)
    first, last = statistics.median(after[:AROUND]), statistics.median(after[-AROUND:])
    print(json.dumps(asdict(Memory(before, peak, first, last))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
