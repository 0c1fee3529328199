"""Turns items into rows where that costs the least: on the event loop, in threads, or in decoders."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException

from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.encoder.pixel_slots import PixelSlots, Place, Segment
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.slot_writer import SlotWriter
from deployments.observability.logging import logger
from models.errors import InputError, LimitError, UnavailableError
from models.modalities.base import Embedder, PortablePreparation, Preparation, Prepared

GROUP = 2  # pictures in one call: half as many calls as with one each, and a picture waits behind at most one other
ATTEMPTS = 3  # decoding is idempotent: a call lost with its replica goes to another one
TIMEOUT_S = 25.0  # of a call to a decoder, within a request's usual 30 s


async def prepare_here(pool: PreparePool, prepare: Preparation, items: Sequence[Item]) -> list[Prepared]:
    """For each item a row, or the error that explains why there is none."""
    if prepare.quick(items):
        return prepare(items)
    if not prepare.apart:
        return await pool.prepare(prepare, items)
    parts = await asyncio.gather(*(pool.prepare(prepare, [item]) for item in items))
    return [prepared for part in parts for prepared in part]


class Offer(NamedTuple):
    """Where pixels may be written instead of being sent."""

    segment: Segment
    places: list[Place]  # of the first pictures of a call, one each


@dataclass(frozen=True, slots=True)
class _IntoSlot:
    """Prepares one item, and leaves its pixels in a slot where that is possible."""

    prepare: PortablePreparation
    writer: SlotWriter
    segment: Segment
    place: Place

    def __call__(self, items: Sequence[Item]) -> list[Any]:
        """The number of the slot, or what the preparation made."""
        (row,) = self.prepare(items)
        if isinstance(row, InputError) or row.shape != self.prepare.shape:  # a slot is read as that shape
            return [row]
        return [self.place.slot] if self.writer.write(self.segment, self.place, row) else [row]


async def prepare_into(
    pool: PreparePool, prepare: Preparation, items: Sequence[Item], writer: SlotWriter, offer: Offer
) -> list[Prepared]:
    """As ``prepare_here`` for a portable preparation; in place of a row stands the number of the slot that it lies in."""
    portable = cast(PortablePreparation, prepare)
    works: list[Any] = [_IntoSlot(portable, writer, offer.segment, place) for place in offer.places]
    works += [prepare] * (len(items) - len(works))
    parts = await asyncio.gather(*(pool.prepare(work, [item]) for work, item in zip(works, items, strict=True)))
    return [prepared for part in parts for prepared in part]


async def cut_of(
    pool: PreparePool, embedder: Embedder, items: Sequence[Item], rows: Sequence[Prepared]
) -> tuple[tuple[int, int], ...]:
    """Each item that is longer than the model reads, with how much of it lies behind: characters of a text, ids of a list."""
    full = embedder.full(rows)
    if not full:
        return ()
    suspects = [items[i] for i in full]
    amounts = await asyncio.wrap_future(pool.submit(lambda: embedder.behind(suspects)))
    return tuple((i, amount) for i, amount in zip(full, amounts, strict=True) if amount)


class Decoders:
    """The replicas of a ``Decoder`` deployment as an encoder sees them."""

    def __init__(self, handle: Any) -> None:
        """Call through Serve's handle of the deployment."""
        self._handle = handle
        self._slots: PixelSlots | None = None

    def share(self, slots: int, prepare: Preparation) -> None:
        """Let decoders on this node write pixels into memory that is shared with them: ``slots`` pictures, or none."""
        slot_bytes = math.prod(cast(PortablePreparation, prepare).shape)
        there = self._slots
        if there is not None and (there.segment.slots, there.segment.slot_bytes) == (slots, slot_bytes):
            return
        try:
            self._slots = PixelSlots(slots, slot_bytes) if slots else None
        except OSError as error:
            logger.warning("no memory can be shared with decoders, so that they send pixels: %s", error)
            self._slots = None

    async def prepare(self, prepare: Preparation, items: Sequence[Item], queued: Queued) -> list[Prepared]:
        """Spread items over the replicas; the result is that of ``prepare_here``.

        Args:
            prepare: a portable preparation.
            items: to prepare.
            queued: what the caller knows of this call's cost, and of the queue behind it.

        Raises:
            UnavailableError: no decoder answers.
        """
        # No view can be pickled.
        sent: list[Item] = [bytes(item) if isinstance(item, memoryview) else item for item in items]
        groups = [sent[i : i + GROUP] for i in range(0, len(sent), GROUP)]
        calls = (
            self._call(group, prepare, part_of(queued, len(group), first=number == 0))
            for number, group in enumerate(groups)
        )
        return [prepared for part in await asyncio.gather(*calls) for prepared in part]

    async def _call(self, items: list[Item], prepare: Preparation, queued: Queued) -> list[Prepared]:
        """Call a decoder. One that takes too long is not called again, nor is another: the pictures may be why."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    return await self._ask(items, prepare, queued)
            except TimeoutError:
                logger.warning("a decoder did not answer within %g s; its pictures are given up", TIMEOUT_S)
                return [LimitError(f"decoding did not end within {TIMEOUT_S:g} s", code="too_slow") for _ in items]
            except RayActorError as error:
                logger.warning("call to a decoder failed, attempt %d: %r", attempt, error)
            except RayServeException as error:
                raise UnavailableError("no decoder takes calls") from error
        raise UnavailableError(f"{ATTEMPTS} calls to decoders got no answer")

    async def _ask(self, items: list[Item], prepare: Preparation, queued: Queued) -> list[Prepared]:
        """Call a decoder once, with places for as many pictures as there are."""
        slots = self._slots
        shape = () if slots is None else cast(PortablePreparation, prepare).shape
        if slots is None or math.prod(shape) > slots.segment.slot_bytes or not (places := slots.take(len(items))):
            sent: list[Prepared] = await self._handle.decode.remote(items, prepare, queued)
            return sent
        unused = {place.slot: place for place in places}
        try:
            answer = await self._handle.decode.remote(items, prepare, queued, Offer(slots.segment, places))
            return [slots.pixels(unused.pop(one), shape) if isinstance(one, int) else one for one in answer]
        finally:
            slots.give_back(unused.values())


def part_of(queued: Queued, items: int, *, first: bool) -> Queued:
    """What a decoder is told of the gateway's call, of which it gets a part. Only the first part reports refusals, so that each counts once."""
    return Queued(queued.gateway, items, queued.waiting, queued.refused if first else 0)
