"""Turns items into rows where that costs the least: on the event loop, in threads, or in decoders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException

from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.observability.logging import logger
from models.errors import UnavailableError
from models.modalities.base import Preparation, Prepared

GROUP = 2  # pictures in one call: half as many calls as with one each, and a picture waits behind at most one other
ATTEMPTS = 3  # decoding is idempotent: a call lost with its replica goes to another one
TIMEOUT_S = 12.0  # of an attempt, for a node that is lost without a word; two fit into a request's usual 30 s


async def prepare_here(executor: Executor, prepare: Preparation, items: Sequence[Item]) -> list[Prepared]:
    """For each item a row, or the error that explains why there is none."""
    if prepare.quick(items):
        return prepare(items)
    loop = asyncio.get_running_loop()
    if not prepare.apart:
        return await loop.run_in_executor(executor, prepare, items)
    parts = await asyncio.gather(*(loop.run_in_executor(executor, prepare, [item]) for item in items))
    return [prepared for part in parts for prepared in part]


class Decoders:
    """The replicas of a ``Decoder`` deployment as an encoder sees them."""

    def __init__(self, handle: Any) -> None:
        """Call through Serve's handle of the deployment."""
        self._handle = handle

    async def prepare(self, prepare: Preparation, items: Sequence[Item], queued: Queued) -> list[Prepared]:
        """Spread items over the replicas; the result is that of ``prepare_here``.

        Args:
            prepare: a portable preparation.
            items: to prepare.
            queued: what the caller knows of this call's cost, and of the queue behind it.

        Raises:
            UnavailableError: no decoder answers.
        """
        groups = [list(items[i : i + GROUP]) for i in range(0, len(items), GROUP)]
        calls = (
            self._call(group, prepare, part_of(queued, len(group), first=number == 0))
            for number, group in enumerate(groups)
        )
        return [prepared for part in await asyncio.gather(*calls) for prepared in part]

    async def _call(self, items: list[Item], prepare: Preparation, queued: Queued) -> list[Prepared]:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    prepared: list[Prepared] = await self._handle.decode.remote(items, prepare, queued)
                    return prepared
            except (RayActorError, TimeoutError) as error:
                logger.warning("call to a decoder failed, attempt %d: %r", attempt, error)
            except RayServeException as error:
                raise UnavailableError("no decoder takes calls") from error
        raise UnavailableError(f"{ATTEMPTS} calls to decoders got no answer")


def part_of(queued: Queued, items: int, *, first: bool) -> Queued:
    """What a decoder is told of the gateway's call, of which it gets a part. Only the first part reports refusals, so that each counts once."""
    return Queued(queued.gateway, items, queued.waiting, queued.refused if first else 0)
