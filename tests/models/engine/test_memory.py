"""Memory: equal sessions are one, arenas do not grow, unloaded models go."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

from bench.models.memory import measure
from models.engine.engine import Engine
from models.engine.session import EngineOptions
from tests.models.loading import artifact_of

ROOT = Path(__file__).resolve().parents[3]
SHAPES = """
import sys
from pathlib import Path
import numpy as np
from models.engine import memory
from bench.models.memory import measure
from models.engine.engine import Engine
from models.engine.session import EngineOptions
from models.modalities.text_graph import run_padded
def resident():
    memory.release()  # what grows without bound stays; what glibc merely keeps goes
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
engine = Engine(Path(sys.argv[1]), EngineOptions(threads=2))
generator = np.random.default_rng(0)
def run(count):
    for _ in range(count):
        ids = np.full((generator.integers(1, 9), generator.integers(2, 65)), 2023)
        run_padded(engine, ids, np.ones_like(ids))
    return resident()
ids = np.full((8, 64), 2023)
for _ in range(10):  # so that each thread of the pool has computed a largest piece
    run_padded(engine, ids, np.ones_like(ids))
print(resident(), run(30), run(30))
"""


def measured(program: str, graph: Path) -> list[float]:
    """The numbers that a program prints, run in a process of its own, megabytes."""
    command = [sys.executable, "-c", program, str(graph)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=250)
    return [float(number) for number in done.stdout.split()]


def test_engines_of_one_artifact_share_a_session_and_the_last_one_frees_it() -> None:
    graph = artifact_of("text-embedding@1.1.0").graph
    options = EngineOptions(threads=1, arena=True)
    first, second = Engine(graph, options), Engine(graph, options)
    assert first.graph.session is second.graph.session
    other = Engine(graph, EngineOptions(threads=1, arena=True, spin_us=0))
    assert other.graph.session is not first.graph.session
    shared = weakref.ref(first.graph.session)
    del first, second
    gc.collect()
    assert shared() is None


def test_a_lazy_engine_loads_at_its_first_use() -> None:
    graph = artifact_of("text-embedding@1.1.0").graph
    engine = Engine(graph, EngineOptions(threads=2, lazy=True))
    assert "_graph" not in vars(engine)
    assert "input_ids" in engine.inputs
    assert "_graph" in vars(engine)


def test_twenty_cycles_of_loading_and_unloading_end_where_the_first_ended() -> None:
    result = measure(artifact_of("text-embedding@1.1.0").graph)
    assert result.last <= result.first * 1.1
    assert result.loaded > result.before + 20  # the weights alone are 23 MB


def test_sixty_batches_of_varied_shapes_take_no_more_than_the_largest() -> None:
    largest, thirty, sixty = measured(SHAPES, artifact_of("text-embedding@1.1.0").graph)
    assert thirty <= largest * 1.5  # a tenth to a fifth for the pool's threads, then nothing more
    assert sixty <= thirty * 1.2
