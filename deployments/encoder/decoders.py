"""The decoders of an encoder, as it sees them: each batch of pictures is spread over them."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, cast

from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException

from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.contract.pixel_places import Offer, Place
from deployments.encoder.pixel_slots import PixelSlots
from deployments.observability.logging import logger
from deployments.rpc.calls import ConnectionLostError
from deployments.rpc.decoding import DecodeCall, DecodeConnection
from deployments.rpc.pool import Pool
from deployments.serve_internals.replica_search import ReplicaSearch
from models.errors import LimitError, UnavailableError
from models.modalities.base import PortablePreparation, Preparation, Prepared

# Pictures in one call. Where decoders are idle, few: a picture waits behind at most one other. Where all are busy, so many that
# a call's own cost on the encoder's event loop is divided by them.
FEWEST, MOST = 2, 8
ATTEMPTS = 3  # decoding is idempotent: a call lost with its replica goes to another one
TIMEOUT_S = 25.0  # of a call to a decoder, within a request's usual 30 s


def group_size(items: int, idle: int) -> int:
    """How many pictures go in one call.

    Args:
        items: pictures to decode.
        idle: decoders that have nothing to do.
    """
    return max(FEWEST, min(MOST, math.ceil(items / idle) if idle else MOST))


class Decoders:
    """The replicas of a ``Decoder`` deployment."""

    def __init__(self, handle: Any, count: Callable[[str], None] = lambda _: None) -> None:
        """Know of none.

        Args:
            handle: Serve's, of the deployment. It tells where they are, and calls go through it while one cannot be called directly.
            count: is told the way of each call: ``connection`` or ``serve``.
        """
        self._handle, self._count = handle, count
        self._slots: PixelSlots | None = None
        self._pool = Pool("decoders", DecodeConnection)
        self._search = ReplicaSearch("decoders", self._serve_handle, self._pool.some)
        self._preparation: tuple[str, Preparation] | None = None  # that decoders are told of, under this name

    def share(self, slots: int, prepare: Preparation) -> None:
        """Tell decoders how pictures are prepared from now on, and let those on this node write into memory that they share.

        Args:
            slots: pictures that there is room for, or 0.
            prepare: a portable preparation.
        """
        if self._preparation is None or self._preparation[1] != prepare:
            self._preparation = secrets.token_hex(8), prepare
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
        size = group_size(len(items), self._pool.idle)
        groups = [items[i : i + size] for i in range(0, len(items), size)]
        calls = (
            self._call(group, prepare, part_of(queued, len(group), first=number == 0))
            for number, group in enumerate(groups)
        )
        return [prepared for part in await asyncio.gather(*calls) for prepared in part]

    async def _call(self, items: Sequence[Item], prepare: Preparation, queued: Queued) -> list[Prepared]:
        """Call a decoder. One that takes too long is not called again, nor is another: the pictures may be why."""
        tried: list[DecodeConnection] = []
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    return await self._ask(items, prepare, queued, tried if attempt < ATTEMPTS else None)
            except TimeoutError:
                logger.warning("a decoder did not answer within %g s; its pictures are given up", TIMEOUT_S)
                return [LimitError(f"decoding did not end within {TIMEOUT_S:g} s", code="too_slow") for _ in items]
            except (RayActorError, ConnectionLostError) as error:
                logger.warning("call to a decoder failed, attempt %d: %r", attempt, error)
            except RayServeException as error:
                raise UnavailableError("no decoder takes calls") from error
        raise UnavailableError(f"{ATTEMPTS} calls to decoders got no answer")

    async def _ask(
        self, items: Sequence[Item], prepare: Preparation, queued: Queued, tried: list[DecodeConnection] | None
    ) -> list[Prepared]:
        """Call a decoder once, with places for as many pictures as there are; not directly where ``tried`` is None."""
        send = self._send_through_serve if tried is None else partial(self._send, tried)
        slots = self._slots
        shape = () if slots is None else cast(PortablePreparation, prepare).shape
        if slots is None or math.prod(shape) > slots.segment.slot_bytes or not (places := slots.take(len(items))):
            return await send(items, prepare, queued, None)
        unused: dict[int, Place] = {place.slot: place for place in places}
        try:
            answer = await send(items, prepare, queued, Offer(slots.segment, places))
            return [slots.pixels(unused.pop(one), shape) if isinstance(one, int) else one for one in answer]
        finally:
            slots.give_back(unused.values())

    async def _send(
        self,
        tried: list[DecodeConnection],
        items: Sequence[Item],
        prepare: Preparation,
        queued: Queued,
        offer: Offer | None,
    ) -> list[Any]:
        """Over a connection of our own where every decoder has one, otherwise through Serve's handle."""
        name, connection = self._connection(prepare, tried)
        if connection is not None and all(isinstance(item, bytes | memoryview) for item in items):
            tried.append(connection)
            self._count("connection")
            return await connection.decode(DecodeCall(items, name, queued, offer))
        return await self._send_through_serve(items, prepare, queued, offer)

    async def _serve_handle(self) -> Any:
        return self._handle

    async def _send_through_serve(
        self, items: Sequence[Item], prepare: Preparation, queued: Queued, offer: Offer | None
    ) -> list[Any]:
        self._count("serve")
        rows: list[Any] = await self._handle.decode.remote(items, prepare, queued, offer)
        return rows

    def _connection(
        self, prepare: Preparation, tried: Collection[DecodeConnection]
    ) -> tuple[str, DecodeConnection | None]:
        """The name by which decoders know a preparation, and a connection to one of them, if it can be not to one that was tried.

        There is none of it during a swap.
        """
        if not self._search.on:
            self._search.forget()
            return "", None
        if self._preparation is None or self._preparation[1] != prepare:
            return "", None
        known = self._search.told == self._preparation
        connection = self._pool.least_busy(self._pool.some(self._search.endpoints), tried) if known else None
        self._search.look(*self._preparation, missing=connection is None)
        return self._preparation[0], connection


def part_of(queued: Queued, items: int, *, first: bool) -> Queued:
    """What a decoder is told of the gateway's call, of which it gets a part. Only the first part reports refusals, so that each counts once."""
    return Queued(queued.gateway, items, queued.waiting, queued.refused if first else 0)
