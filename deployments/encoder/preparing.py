"""Turns items into rows where that costs the least: on the event loop or in threads; in a decoder, into slots."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from deployments.contract.items import Item
from deployments.contract.pixel_places import Offer, Place, Segment
from deployments.encoder.prepare_pool import PreparePool
from deployments.encoder.shared_works import Work
from deployments.encoder.slot_writer import SlotWriter
from models.errors import InputError
from models.modalities.base import Embedder, PortablePreparation, Preparation, Prepared


async def prepare_here(pool: PreparePool, prepare: Preparation, items: Sequence[Item]) -> list[Prepared]:
    """For each item a row, or the error that explains why there is none."""
    if prepare.quick(items):
        return prepare(items)
    if not prepare.apart:
        return await pool.prepare(prepare, items)
    return await pool.prepare_apart([partial(_one, prepare, item) for item in items])


def _one(prepare: Preparation, item: Item) -> Prepared:
    (row,) = prepare([item])
    return row


@dataclass(frozen=True, slots=True)
class _IntoSlot:
    """Prepares one item, and leaves its pixels in a slot where that is possible."""

    prepare: PortablePreparation
    writer: SlotWriter
    segment: Segment
    place: Place

    item: Item

    def __call__(self) -> Any:
        """The number of the slot, or what the preparation made."""
        row = _one(self.prepare, self.item)
        if isinstance(row, InputError) or row.shape != self.prepare.shape:  # a slot is read as that shape
            return row
        return self.place.slot if self.writer.write(self.segment, self.place, row) else row


async def prepare_into(
    pool: PreparePool, prepare: Preparation, items: Sequence[Item], writer: SlotWriter, offer: Offer
) -> list[Prepared]:
    """As ``prepare_here`` for a portable preparation; in place of a row stands the number of the slot that it lies in."""
    portable = cast(PortablePreparation, prepare)
    offered = zip(offer.places, items, strict=False)
    works: list[Work] = [_IntoSlot(portable, writer, offer.segment, place, item) for place, item in offered]
    works += [partial(_one, prepare, item) for item in items[len(works) :]]
    return await pool.prepare_apart(works)


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
