"""The decoder deployment, which scales beside an image encoder, and that encoder's way to it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from functools import partial
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException

from deployments.autoscaling.busy_pool import BusyPool
from deployments.autoscaling.workload import Workload
from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.encoder.decoding import Outcome, Rules, decode_item
from deployments.observability.logging import logger
from models.errors import UnavailableError

CALLS = 64  # at once, where the configuration says nothing; Serve's own 5 would keep 10 threads busy at most
GROUP = 2  # images in one call: half the calls of one each, and at most one decode waits behind another
ATTEMPTS = 3  # decoding is idempotent: a call lost with its replica goes to another one
TIMEOUT_S = 12.0  # of an attempt: of a node that is lost without a word, within a request's usual 30 s


@serve.deployment(max_ongoing_requests=CALLS)
class Decoder:
    """Turns encoded images into pixels. It knows no model: what it needs to know comes with each call."""

    def __init__(self) -> None:
        """Take as many threads as the replica has ``num_cpus``."""
        cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
        self._threads = BusyPool(max(1, math.ceil(cpus)), "decode")
        self._workload = Workload()

    async def decode(self, items: list[Item], rules: Rules, queued: Queued) -> list[Outcome]:
        """Decode items in threads.

        Args:
            items: encoded images.
            rules: of the artifact that will embed them.
            queued: what the caller knows of this call's cost, in pictures, and of the queue behind it.

        Returns:
            For each item uint8 [size, size, 3], or why there is none.
        """
        loop = asyncio.get_running_loop()
        self._workload.begin(queued)
        try:
            work = partial(decode_item, rules)
            return await asyncio.gather(*(loop.run_in_executor(self._threads, work, item) for item in items))
        finally:
            self._workload.end(queued)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What Serve asks for and hands to the autoscaling policy."""
        return self._workload.report(self._threads.busy())


class Decoders:
    """The decoder's replicas as an encoder sees them."""

    def __init__(self, handle: Any) -> None:
        """Call through Serve's handle of the decoder deployment."""
        self._handle = handle

    async def decode(self, items: list[Item], rules: Rules, queued: Queued) -> list[Outcome]:
        """Decode items, spread over the replicas; arguments and result as ``Decoder.decode``.

        Raises:
            UnavailableError: no decoder answers.
        """
        calls = (
            self._call(items[i : i + GROUP], rules, part_of(queued, len(items[i : i + GROUP]), first=i == 0))
            for i in range(0, len(items), GROUP)
        )
        return [outcome for outcomes in await asyncio.gather(*calls) for outcome in outcomes]

    async def _call(self, items: list[Item], rules: Rules, queued: Queued) -> list[Outcome]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    outcomes: list[Outcome] = await self._handle.decode.remote(items, rules, queued)
                    return outcomes
            except (RayActorError, TimeoutError) as error:
                logger.warning("call to a decoder failed, attempt %d: %r", attempt, error)
            except RayServeException as error:
                raise UnavailableError("no decoder takes calls") from error
        raise UnavailableError(f"{ATTEMPTS} calls to decoders got no answer")


def part_of(queued: Queued, images: int, *, first: bool) -> Queued:
    """What a decoder is told of the gateway's call that it gets a part of: every refusal counts once."""
    return replace(queued, cost=images, refused=queued.refused if first else 0, trace=())
