"""Dynamic batching: calls that wait for the engine run together, if they were prepared for the same artifact."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ray import serve

from deployments.contract.items import ItemError
from deployments.encoder.engine_pool import EnginePool
from deployments.encoder.isolation import embed_all_but
from deployments.encoder.loaded import Loaded
from models.engine.types import Vectors
from models.modalities.base import Row

if TYPE_CHECKING:
    from opentelemetry.trace import Span

# Batches in the engine at once: the threads of one batch end at different times, and the next batch uses those that are free. 16 texts per request from
# 32 clients: 110 requests/s on 2 cores, 92 one after the other.
BATCHES = 2
NEVER = 2**40  # a cost above every batch's


@dataclass(slots=True, eq=False)
class CallTrace:
    """The trace of a call, and where its time goes."""

    callers: Sequence[str]  # as tracing.carried gave them
    span: Span | None
    queue_s: float = 0.0
    inference_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """The rows of one call. It runs on the artifact that it was prepared for, whatever is swapped meanwhile."""

    loaded: Loaded
    rows: list[Row]
    cost: int  # in the unit of ``batch_cost``
    since: float  # perf_counter seconds when it was ready to run
    trace: CallTrace
    alone: bool = False  # it must not run with others
    failed: dict[int, ItemError] = field(
        default_factory=dict
    )  # by row, where the engine fails or hangs at this very row


@dataclass(frozen=True, slots=True)
class Run:
    """A batch that came back from the engine, in perf_counter seconds."""

    calls: list[PreparedCall]
    rows: list[Row]
    formed: float
    began: float
    ended: float


def batch_cost(calls: list[PreparedCall]) -> int:
    """The size of a batch, for ``@serve.batch``. It must never raise: that would end all batching (ray #66140).

    A single call always fits: gateways bound calls, and the engine cuts what is still too large into runs. With one that
    must run alone nothing fits.
    """
    if len(calls) > 1 and any(call.alone for call in calls):
        return NEVER
    return sum(call.cost for call in calls) if len(calls) > 1 else 1


class Batcher:
    """Collects calls while the engine is busy, and runs them as one batch."""

    def __init__(self, engine: EnginePool, on_run: Callable[[Run], None], behind: EnginePool | None = None) -> None:
        """Run on ``engine``, what nobody waits for on ``behind``, and tell ``on_run`` of each batch."""
        self._engine = engine
        self._behind = behind or engine
        self._on_run = on_run

    def limit(self, cost: int) -> None:
        """Bound the cost of a batch, in the unit of ``batch_cost``."""
        self.embed.set_max_batch_size(cost)  # type: ignore[attr-defined]

    @serve.batch(max_batch_size=2048, batch_wait_timeout_s=0, batch_size_fn=batch_cost, max_concurrent_batches=BATCHES)
    async def embed(self, calls: list[PreparedCall]) -> list[Vectors]:
        """Unit vectors of each call's rows, float32 [n, d]; a caller passes one call and gets its vectors.

        Rows at which the engine fails are noted in the call.
        """
        return await self.run(calls)

    async def embed_behind(self, call: PreparedCall) -> Vectors:
        """As ``embed``, for a call that others pass: it is as large as the gateway made it, and runs by itself."""
        return (await self.run([call], self._behind))[0]

    async def run(self, calls: list[PreparedCall], engine: EnginePool | None = None) -> list[Vectors]:
        """Run one batch, on the usual engine if none is given; the unit vectors of each call's rows, float32 [n, d]."""
        formed = time.perf_counter()
        results: dict[int, Vectors] = {}
        for loaded in {id(call.loaded): call.loaded for call in calls}.values():
            mine = [i for i, call in enumerate(calls) if call.loaded is loaded]
            rows: list[Any] = [row for i in mine for row in calls[i].rows]
            began = time.perf_counter()
            alone = calls[mine[0]].alone  # it is the only one then
            vectors, failed = await embed_all_but(engine or self._engine, loaded.embedder, rows, alone=alone)
            self._on_run(Run([calls[i] for i in mine], rows, formed, began, time.perf_counter()))
            start = 0
            for i in mine:
                end = start + len(calls[i].rows)
                results[i] = vectors[start:end]
                calls[i].failed.update((row - start, why) for row, why in failed.items() if start <= row < end)
                start = end
        return [results[i] for i in range(len(calls))]
