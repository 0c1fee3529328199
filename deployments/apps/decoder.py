"""The decoder deployment, which prepares inputs beside an encoder and scales on its own."""

from __future__ import annotations

import math
from typing import Any

import ray
from ray import serve

from deployments.autoscaling.workload import Workload
from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.preparing import Offer, prepare_here, prepare_into
from deployments.encoder.slot_writer import SlotWriter
from models.modalities.base import Preparation, Prepared

CALLS = 64  # at once, unless the configuration says otherwise; Serve's default of 5 would keep at most 10 threads busy


@serve.deployment(max_ongoing_requests=CALLS)
class Decoder:
    """Turns encoded pictures into pixels. It holds no model: each call says how its pictures are to be decoded."""

    def __init__(self) -> None:
        """Start one thread for each CPU that the replica has reserved (``num_cpus``)."""
        cpus: Any = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
        self._threads = PreparePool(max(1, math.ceil(cpus)), "decode")
        self._workload = Workload()
        self._writer = SlotWriter()

    async def decode(
        self, items: list[Item], prepare: Preparation, queued: Queued, offer: Offer | None = None
    ) -> list[Prepared]:
        """Prepare items in threads.

        Args:
            items: encoded pictures.
            prepare: of the artifact that will embed them.
            queued: what the caller knows of this call's cost, in pictures, and of the queue behind it.
            offer: places for the first items in memory that the caller shares, where this replica can reach it.

        Returns:
            For each item uint8 [size, size, 3], the number of the slot that holds them, or the error that explains why there is none.
        """
        self._workload.begin(queued)
        try:
            if offer is not None:
                return await prepare_into(self._threads, prepare, items, self._writer, offer)
            return await prepare_here(self._threads, prepare, items)
        finally:
            self._workload.end(queued)

    def check_health(self) -> None:
        """Serve's health check. It fails while a decoding does not come back, and Serve then replaces this replica."""
        self._writer.forget_gone()
        self._threads.check()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """The figures that Serve asks for and hands to the autoscaling policy."""
        return self._workload.report(self._threads.busy())
