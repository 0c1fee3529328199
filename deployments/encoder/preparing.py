"""Turns items into rows where that costs the least: on the event loop or in threads; in a decoder, into slots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from deployments.contract.items import Item
from deployments.contract.pixel_places import Offer, Place, Segment
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.slot_writer import SlotWriter
from models.errors import InputError
from models.modalities.base import Embedder, PortablePreparation, Preparation, Prepared


async def prepare_here(pool: PreparePool, prepare: Preparation, items: Sequence[Item]) -> list[Prepared]:
    """For each item a row, or the error that explains why there is none."""
    if prepare.quick(items):
        return prepare(items)
    if not prepare.apart:
        return await pool.prepare(prepare, items)
    parts = await asyncio.gather(*(pool.prepare(prepare, [item]) for item in items))
    return [prepared for part in parts for prepared in part]


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
