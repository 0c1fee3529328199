"""The decoder deployment, which prepares inputs beside an encoder and scales on its own."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Awaitable
from typing import Any

import ray
from ray import serve

from deployments.autoscaling.workload import Workload
from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.contract.pixel_places import Offer
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.preparing import prepare_here, prepare_into
from deployments.encoder.slot_writer import SlotWriter
from deployments.rpc import heap
from deployments.rpc.decoding import DecodeCall, DecodeServer
from deployments.rpc.server import CALLS, Endpoint
from models.errors import UnavailableError
from models.modalities.base import Preparation, Prepared

# After which a picture is given up: sooner than encoders give up the call that it came with, so that it takes none of the others along.
STUCK_S = 20.0
PREPARATIONS = 64  # remembered: one for each replica of the encoder, and those from before a swap


@serve.deployment(max_ongoing_requests=CALLS)
class Decoder:
    """Turns encoded pictures into pixels. It holds no model: each call says how its pictures are to be decoded."""

    def __init__(self, threads: int | None = None) -> None:
        """Start so many threads; by default one for each CPU that the replica has reserved (``num_cpus``)."""
        heap.keep()
        self._threads = PreparePool(threads or _reserved_cpus(), "decode", STUCK_S)
        self._workload = Workload()
        self._writer = SlotWriter()
        self._preparations: OrderedDict[str, Preparation] = OrderedDict()  # by the names that encoders gave them
        self._rpc = DecodeServer(self._answer)

    async def endpoint(self, name: str, prepare: Preparation) -> tuple[str, Endpoint]:
        """This replica's id, and the address at which it takes calls directly; encoders ask for both through Serve.

        Args:
            name: by which calls will mean ``prepare``.
            prepare: how pictures are to be decoded.
        """
        self.learn(name, prepare)
        return serve.get_replica_context().replica_id.unique_id, await self._rpc.start()

    def learn(self, name: str, prepare: Preparation) -> None:
        """Remember a preparation; those that nobody has named for longest are forgotten."""
        self._preparations[name] = prepare
        self._preparations.move_to_end(name)
        while len(self._preparations) > PREPARATIONS:
            self._preparations.popitem(last=False)

    def __del__(self) -> Awaitable[None] | None:
        """Let calls under way finish; Serve calls and awaits this after it has stopped sending calls."""
        server = getattr(self, "_rpc", None)  # absent where __init__ raised
        return server.close() if server is not None and server.listening else None

    async def _answer(self, call: DecodeCall) -> list[Prepared]:
        prepare = self._preparations.get(call.preparation)
        if prepare is None:
            raise UnavailableError("this decoder was not told of the call's preparation")
        return await self.decode(list(call.items), prepare, call.queued, call.offer)

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


def _reserved_cpus() -> int:
    cpus: Any = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
    return int(max(1, math.ceil(cpus)))
