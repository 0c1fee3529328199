"""What the metrics show of how far versions agree about what lies near."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from deployments.gateway.neighbour_sample import AGE_S, NeighbourSample, Pair, Vector
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.logging import logger
from deployments.rpc.detached import detached
from models.neighbours import NEIGHBOURS, Agreement, Estimate, agreement

COMPARE_S = 20.0  # between two comparisons of what is new: a hundredth of a core for each pair of versions
REPORTED = 50  # inputs below which nothing is said: by chance alone a fifth of the neighbours of fewer are the same


class NeighbourGauges:
    """Compares the sample now and then in a thread, and reports what was found."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        """Report into ``metrics``; nothing was compared yet."""
        self.sample = NeighbourSample()
        self._metrics = metrics
        self._found: dict[Pair, Agreement] = {}
        self._compared_at = -math.inf
        self._task: asyncio.Task[None] | None = None

    def report(self, references: Iterable[str]) -> None:
        """Set the gauges of the versions that are served; compare anew where it is time."""
        served = set(references)
        self.sample.keep(served)
        if time.monotonic() - self._compared_at > AGE_S:
            self._found = {}  # no copies came for so long
        self._found = {(m, v, o): one for (m, v, o), one in self._found.items() if {f"{m}@{v}", f"{m}@{o}"} <= served}
        busy = self._task is not None and not self._task.done()
        if self.sample.changed and not busy and time.monotonic() - self._compared_at >= COMPARE_S:
            self._task = detached(self._compare(self.sample.pairs(time.monotonic())))
        for (model, version, other), found in self._found.items():
            self._set((model, version, other), found)

    async def _compare(self, pairs: Mapping[Pair, tuple[list[Vector], list[Vector]]]) -> None:
        self._compared_at = time.monotonic()
        enough = {pair: both for pair, both in pairs.items() if len(both[0]) >= REPORTED}
        try:
            self._found = await asyncio.to_thread(compared, enough)
        except Exception:  # a defect here must not end the loop that reports all other metrics
            logger.exception("comparing neighbours failed")

    def _set(self, pair: Pair, found: Agreement) -> None:
        labels = dict(zip(("model", "version", "other"), pair, strict=True))
        counts = Counter(found.same.tolist())
        for same in range(NEIGHBOURS + 1):
            self._metrics.neighbour_inputs.set(counts[same], {**labels, "same": str(same)})
        for gauge, estimate in (
            (self._metrics.neighbour_overlap, found.overlap),
            (self._metrics.rank_correlation, found.ranks),
        ):
            for name, value in _parts(estimate).items():
                gauge.set(value, {**labels, "bound": name})


def compared(pairs: Mapping[Pair, tuple[list[Vector], list[Vector]]]) -> dict[Pair, Agreement]:
    """How far the two versions of each pair agree."""
    return {pair: agreement(np.stack(ours), np.stack(theirs)) for pair, (ours, theirs) in pairs.items()}


def _parts(estimate: Estimate) -> dict[str, float]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
