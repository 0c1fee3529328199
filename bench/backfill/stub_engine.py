"""An engine that computes nothing and takes its time: what is measured is everything around it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from deployments.backfill import block
from deployments.backfill.block import Carried
from deployments.backfill.block_engine import BlockEngine
from deployments.backfill.expectation import Expectation
from deployments.backfill.model import Wanted
from deployments.backfill.proof import Proof
from models.catalog.catalog import Catalog

SECONDS = "EMBEDSERVE_BENCH_BLOCK_S"  # of one block
PLACES = "EMBEDSERVE_BENCH_PLACES"  # a folder for a file of each engine, NODE-PROCESS: when each block was ready


class StubEngine(BlockEngine):
    """Gives every row the same vector."""

    def __init__(self, wanted: Wanted, expected: Expectation, cpus: int, gpus: float) -> None:  # noqa: ARG002 - as the engine
        """Open nothing."""
        self._seconds = float(os.environ.get(SECONDS, "0"))
        self._file: Path | None = None
        if places := os.environ.get(PLACES):
            import ray

            self._file = Path(places) / f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}"
        self._dimensions = Catalog.load().find(wanted.reference).dimensions
        self.proof = Proof("", "stub", np.zeros(self._dimensions, np.float32).tobytes(), self._dimensions)

    def hold_to(self, expected: Expectation) -> None:
        """It is like every other."""

    def __call__(self, carried: Carried) -> Carried:
        """The same block with vectors instead of prepared inputs."""
        if carried["error"]:
            return carried
        time.sleep(self._seconds)
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(f"{time.time()}\n")
        table = block.unpack(carried["rows"])
        vectors = np.zeros((table.num_rows, self._dimensions), np.float32)
        vectors[:, 0] = 1
        found = block.pack(block.with_vectors(table, vectors))
        return {**carried, "rows": found, "dtype": "", "engine_s": self._seconds}
