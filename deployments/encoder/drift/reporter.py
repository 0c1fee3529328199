"""What an encoder does about drift: nearly nothing with each call, and a comparison with each health check, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deployments.config.encoder import EncoderConfig
from deployments.contract.items import Item
from deployments.encoder.drift.watch import DriftWatch
from deployments.encoder.loaded import Loaded
from deployments.observability.drift_gauges import DriftGauges
from deployments.observability.labels import Labels
from deployments.observability.logging import logger
from models.errors import InputError
from models.modalities.base import Prepared


class DriftReporter:
    """Watches the artifact that serves."""

    def __init__(self, version: Labels, gauges: DriftGauges) -> None:
        """Report into ``gauges``; nothing is watched before ``switch``."""
        self._version, self._gauges = version, gauges
        self._loaded: Loaded | None = None
        self._watch = DriftWatch("", 0)
        self._task: asyncio.Task[None] | None = None

    def switch(self, config: EncoderConfig, loaded: Loaded) -> None:
        """Watch another artifact, against a reference of its own."""
        self._loaded, self._watch = loaded, DriftWatch(loaded.label.hash, config.drift_reference_s)

    def call(
        self,
        now: float,
        loaded: Loaded,
        items: Sequence[Item],
        prepared: Sequence[Prepared],
        vectors: NDArray[np.float32],
    ) -> None:
        """Take one of a call's inputs, if it is time; at all other calls this compares two numbers.

        Args:
            now: perf_counter seconds.
            loaded: what computed them.
            items: of the call.
            prepared: of each.
            vectors: of each, [n, d]; zero where there is none.
        """
        if not self._watch.due(now) or loaded is not self._loaded:
            return
        rows = {i: row for i, row in enumerate(prepared) if not isinstance(row, InputError) and vectors[i].any()}
        if rows:
            self._watch.take(now, loaded.embedder, items, rows, vectors)

    def evaluate(self) -> None:
        """Begin a comparison, unless one is under way. Nobody waits for it: a slow disk must not make a replica unhealthy."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._evaluate(self._watch))

    async def _evaluate(self, watch: DriftWatch) -> None:
        try:
            await asyncio.to_thread(watch.evaluate)
        except Exception:  # whatever is wrong with it, the replica embeds
            logger.exception("measuring drift failed")
            return
        if watch is self._watch:
            self._gauges.note(self._version, watch.found, watch.means, watch.counts if watch.on else {})
