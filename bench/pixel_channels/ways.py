"""The ways, each with a decoder in a process of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from multiprocessing.connection import Connection as Pipe
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import uvloop
from numpy.typing import NDArray

from bench.other_end import grpc_end, other_end
from deployments.contract.pixel_places import Place, Segment
from deployments.encoder.pixel_slots import PixelSlots
from deployments.encoder.slot_writer import SlotWriter
from deployments.rpc.framing import Body, Frames

SHAPE = (224, 224, 3)
ROW_BYTES = 224 * 224 * 3
ROWS = 16  # of a call
LIMIT = 1 << 28

Rows = list[NDArray[np.uint8]]
Call = Callable[[], Awaitable[Rows]]


@cache
def pictures() -> Rows:
    """What the decoder has at hand: each of one value."""
    return [np.full(SHAPE, value, np.uint8) for value in range(ROWS)]


def arrays(body: Any) -> Rows:
    """Rows that lie one behind the other, as views."""
    return list(np.frombuffer(body, np.uint8).reshape(ROWS, *SHAPE))


class Ended(Frames):
    """The decoder's end of a connection: pixels, or the slots that they were written into where some are offered."""

    def __init__(self) -> None:
        """Have the pictures at hand."""
        super().__init__(LIMIT)
        self.pictures, self.writer = pictures(), SlotWriter()

    def frame_received(self, number: int, body: Body) -> None:
        """Answer a call."""
        if not body:
            self.send(number, *(picture.tobytes() for picture in self.pictures))
            return
        segment, places = msgpack.unpackb(body)
        there = Segment(*segment)
        for place, picture in zip(places, self.pictures, strict=True):
            assert self.writer.write(there, Place(*place), picture)
        self.send(number, msgpack.packb([slot for slot, _ in places]))


class Asking(Frames):
    """The encoder's end."""

    def __init__(self) -> None:
        """Wait for nothing."""
        super().__init__(LIMIT)
        self.waiting: dict[int, asyncio.Future[Body]] = {}
        self.number = 0

    def frame_received(self, number: int, body: Body) -> None:
        """Give an answer to whoever waits for it."""
        self.waiting.pop(number).set_result(body)

    async def ask(self, body: bytes = b"") -> Body:
        """The answer to one call."""
        self.number += 1
        future: asyncio.Future[Body] = asyncio.get_running_loop().create_future()
        self.waiting[self.number] = future
        self.send(self.number, body)
        return await future


def frames_end(pipe: Pipe) -> None:
    """A decoder that listens for frames."""

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Ended, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    uvloop.run(serve())


async def grpc_answer(_body: bytes, _: Any) -> bytes:
    """The decoder's end of grpc.aio."""
    return b"".join(picture.data for picture in pictures())


@asynccontextmanager
async def grpc_aio() -> AsyncIterator[tuple[Call, int]]:
    """Pixels over grpc.aio."""
    import grpc

    async with other_end(partial(grpc_end, grpc_answer)) as (port, pid):
        options = [("grpc.max_receive_message_length", LIMIT)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            send = channel.unary_unary("/embedserve.Decoder/Decode")

            async def call() -> Rows:
                return arrays(await send(b""))

            yield call, pid


@asynccontextmanager
async def frames(slots: PixelSlots | None = None) -> AsyncIterator[tuple[Call, int]]:
    """Pixels, or numbers of slots, over our frames."""
    async with other_end(frames_end) as (port, pid):
        _, asking = await asyncio.get_running_loop().create_connection(Asking, "127.0.0.1", port)

        async def call() -> Rows:
            if slots is None:
                return arrays(await asking.ask())
            places = {place.slot: place for place in slots.take(ROWS)}
            answer = await asking.ask(msgpack.packb((slots.segment, list(places.values()))))
            return [slots.pixels(places[slot], SHAPE) for slot in msgpack.unpackb(answer)]

        yield call, pid


@asynccontextmanager
async def plasma() -> AsyncIterator[tuple[Call, int]]:
    """Pixels through Ray's object store, as an actor returns them."""
    import ray

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=512 * 2**20)

    @ray.remote
    class Decoder:
        def __init__(self) -> None:
            self.pictures = pictures()

        def pid(self) -> int:
            return os.getpid()

        def decode(self) -> Rows:
            return self.pictures

    try:
        actor = Decoder.remote()  # type: ignore[attr-defined]

        async def call() -> Rows:
            rows: Rows = await actor.decode.remote()
            return rows

        yield call, await actor.pid.remote()
    finally:
        ray.shutdown()
