"""An encoder's calls to a decoder, as bytes and over a connection: pictures go there as they are, and slots' numbers come back."""

from __future__ import annotations

import struct
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np

from deployments.contract.call import Queued
from deployments.contract.items import Item, ItemError
from deployments.contract.pixel_places import Offer, Place, Segment
from deployments.rpc.calls import Calls
from deployments.rpc.codec import FAILED, REFUSED, Refusal, fields_of, unpack
from deployments.rpc.framing import Body
from deployments.rpc.server import Server
from models.errors import InputError, LimitError
from models.modalities.base import Prepared

SIZE = struct.Struct("<I")
DECODED = 32  # a reply's first field; no refusal has it


@dataclass(frozen=True, slots=True)
class DecodeCall:
    """Asks for the pixels of pictures."""

    items: Sequence[Item]
    preparation: str  # the name of one that the decoder was told of
    queued: Queued
    offer: Offer | None = None


Decode = Callable[[DecodeCall], Awaitable[list[Prepared]]]


def pack_call(call: DecodeCall) -> list[Any]:
    """One call's body, in parts: what is said of the pictures, and each as it is, so that none is copied.

    Raises:
        TypeError: an item is no picture; decoders take nothing else.
    """
    if not all(isinstance(item, bytes | memoryview) for item in call.items):
        raise TypeError("only pictures travel to decoders")
    sizes = list(map(len, call.items))
    said = msgpack.packb((sizes, call.preparation, fields_of(call.queued), call.offer))
    return [SIZE.pack(len(said)), said, *call.items]


def unpack_call(body: Body) -> DecodeCall:
    """The other way round; pictures are views of ``body``.

    Raises:
        ValueError: it is no call.
    """
    view = memoryview(body)
    start = SIZE.size + (SIZE.unpack_from(view)[0] if len(view) >= SIZE.size else len(view))
    sizes, preparation, queued, offer = unpack(view[SIZE.size : start])
    if sum(sizes) != len(view) - start:
        raise ValueError("a call's pictures are longer or shorter than it says")
    items: list[Item] = []
    for size in sizes:
        items.append(view[start : start + size])
        start += size
    places = None if offer is None else Offer(Segment(*offer[0]), [Place(*place) for place in offer[1]])
    return DecodeCall(items, preparation, Queued(*queued), places)


def pack_rows(rows: Sequence[Any]) -> bytes:
    """A reply's body.

    Args:
        rows: for each picture the number of its slot, uint8 pixels, or why there are none.
    """
    body: bytes = msgpack.packb((DECODED, [_packed(row) for row in rows]))
    return body


def unpack_reply(body: Body) -> list[Any] | Refusal:
    """The other way round; pixels are read-only views of ``body``.

    Raises:
        ValueError: it is no reply.
    """
    kind, *rest = unpack(body)
    if kind == DECODED:
        return [_unpacked(row) for row in rest[0]]
    if kind not in (FAILED, REFUSED):
        raise ValueError(f"a decoder's reply is of no kind {kind!r}")
    return Refusal(kind, *rest[:3])


def _packed(row: Any) -> Any:
    if isinstance(row, InputError):
        return fields_of(ItemError.of(row))
    if isinstance(row, np.ndarray):
        return row.shape, np.ascontiguousarray(row, np.uint8).data.cast("B")
    return row


def _unpacked(row: Any) -> Any:
    if isinstance(row, int):
        return row
    if isinstance(row[0], str):
        error = ItemError(*row)
        return (LimitError if error.limit else InputError)(error.message, code=error.code)
    shape, pixels = row
    return np.frombuffer(pixels, np.uint8).reshape(shape)


class DecodeServer(Server):
    """Answers calls of encoders."""

    def __init__(self, decode: Decode) -> None:
        """Nothing listens before ``start``; ``decode`` computes the answer to a call.

        None is refused for the number of calls: what encoders send is bounded by what gateways send them, and would wait there
        instead.
        """
        super().__init__(lambda: sys.maxsize)
        self._decode = decode

    async def answer(self, body: Body) -> bytes:
        """Slots' numbers, pixels, or why there are none."""
        return pack_rows(await self._decode(unpack_call(body)))


class DecodeConnection(Calls):
    """Calls under way to one decoder."""

    async def decode(self, call: DecodeCall) -> list[Any]:
        """For each picture the number of its slot, its pixels, or why there are none.

        Raises:
            ConnectionLostError, ComputingLostError, CallFailedError: as ``ask`` does.
        """
        rows: list[Any] = await self.ask(*pack_call(call))
        return rows

    def read(self, body: Body) -> list[Any] | Refusal:
        """A reply."""
        return unpack_reply(body)
