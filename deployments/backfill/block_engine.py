"""The second stage: prepared rows become vectors, on an engine that proved before its first row that it is the right one."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from deployments.backfill import block
from deployments.backfill.block import Carried
from deployments.backfill.expectation import Expectation
from deployments.backfill.ledger import BadRow
from deployments.backfill.model import Wanted, numerics_of, open_model
from deployments.backfill.proof import Proof
from models.embedder import probe
from models.engine.types import Vectors
from models.errors import EmbedserveError
from models.modalities.base import Embedder, Row

FAILED = "the model fails at this input"


class BlockEngine:
    """One engine. An error of its start is told with the first block, in our words and not in Ray's."""

    def __init__(self, wanted: Wanted, expected: Expectation, cpus: int, gpus: float) -> None:
        """Open the model on ``cpus`` threads and ``gpus`` cards, and compare it with what is known before the job's first engine."""
        try:
            self._embedder = open_model(wanted, cpus, gpus)
            numerics = numerics_of(self._embedder)
            golden = expected.require(self._embedder, numerics)
        except EmbedserveError as error:
            self.proof = Proof(str(error))
        else:
            self.proof = Proof("", numerics, golden.tobytes(), golden.shape[1])

    def hold_to(self, expected: Expectation) -> None:
        """Refuse to compute if it showed anything else."""
        if self.proof.error:
            return
        artifact = self._embedder.artifact
        golden = np.frombuffer(self.proof.vectors, np.float32).reshape(-1, self.proof.dimensions)
        try:
            expected.compare(artifact.spec.name, artifact.hash, self.proof.numerics, golden)
        except EmbedserveError as error:
            self.proof = Proof(str(error))

    def __call__(self, carried: Carried) -> Carried:
        """The same block with vectors instead of prepared inputs."""
        if carried["error"]:
            return carried
        if self.proof.error:
            return block.empty(carried["number"], error=self.proof.error)
        table = block.unpack(carried["rows"])
        rows = block.rows_of(table, carried["dtype"]) if table.num_rows else []
        start = time.perf_counter()
        try:
            vectors, failed = embed_all_but(self._embedder, rows)
        except EmbedserveError as error:
            return block.empty(carried["number"], error=str(error))
        seconds = time.perf_counter() - start
        found = block.with_vectors(table, vectors)
        if failed:
            ids, numbers = table.column("id").to_pylist(), table.column("row").to_pylist()
            bad = [
                BadRow(id=ids[i], file=carried["file"], row=numbers[i], code="engine_failed", reason=FAILED)
                for i in sorted(failed)
            ]
            found = found.take([i for i in range(len(ids)) if i not in failed])
            carried = block.with_bad(carried, bad)
        return {**carried, "rows": block.pack(found), "dtype": "", "engine_s": seconds}


def embed_all_but(embedder: Embedder, rows: Sequence[Row]) -> tuple[Vectors, set[int]]:
    """Embed rows; float32 [n, d], and the indices of those at which the engine fails although it works.

    Raises:
        ArtifactError: it does not embed what it always embeds either.
    """
    vectors = np.zeros((len(rows), embedder.artifact.spec.dimensions), np.float32)
    failed: set[int] = set()
    waiting = [range(len(rows))] if rows else []
    while waiting:
        part = waiting.pop()
        try:
            vectors[part.start : part.stop] = embedder.embed_rows([rows[i] for i in part])
        except Exception:  # ONNX Runtime raises many types
            probe(embedder)
            if len(part) == 1:
                failed.add(part.start)
            else:
                middle = (part.start + part.stop) // 2
                waiting += [range(part.start, middle), range(middle, part.stop)]
    return vectors, failed
