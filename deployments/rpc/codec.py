"""Calls and replies as bytes: msgpack, because what anybody can send must be data and never code."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
import numpy as np

from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, Stages, WrongArtifact
from deployments.rpc.framing import Body
from models.inputs.prompted import Prompted

FORMAT: Final = 10  # gateways call only encoders of the same format, others through Serve's handle
PICTURE: Final = (bytes, memoryview)
PROMPTED: Final = 1  # the type of an extension: an item with a named prompt
ENCODE, DESCRIBE = range(2)  # a call's first field
EMBEDDED, FAILED, REFUSED, DESCRIBED, WRONG_ARTIFACT = range(5)  # a reply's first field
PART: Final = 4096  # bytes from which a picture is a part of its own; a smaller one is copied sooner than it is told of
# As msgpack writes them: an array of three, the call's first field, an array of so many; bytes of such a length.
_HEAD, _BYTES_HEAD = struct.Struct(">BBBI"), struct.Struct(">BI")
_ARRAY_OF_3, _ARRAY, _BYTES = 0x93, 0xDD, 0xC6


@dataclass(frozen=True, slots=True)
class EncodeCall:
    """Asks for the vectors of items."""

    items: list[Item]
    queued: Queued


@dataclass(frozen=True, slots=True)
class DescribeCall:
    """Asks what a replica serves."""

    max_age_s: float  # how old the embedding may be that proves it


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that brings neither vectors nor a description."""

    kind: int  # FAILED, or REFUSED: nothing was computed and another replica may do it
    reason: str
    computing: bool = False  # REFUSED all the same: it failed at this call
    timed_out: bool = False  # and did so by not coming back


Call = EncodeCall | DescribeCall
Answer = EncodeReply | WrongArtifact | ModelInfo
Reply = Answer | Refusal


def pack_call(call: Call) -> list[Body]:
    """One call's body, in parts: pictures are parts as they are, so that none is copied."""
    if isinstance(call, DescribeCall):
        return [msgpack.packb((DESCRIBE, call.max_age_s))]
    if not call.items or not isinstance(call.items[0], PICTURE):
        return [msgpack.packb((ENCODE, call.items, fields_of(call.queued)), default=_packed)]
    parts: list[Body] = [_HEAD.pack(_ARRAY_OF_3, ENCODE, _ARRAY, len(call.items))]
    for item in call.items:
        if isinstance(item, PICTURE) and len(item) >= PART:
            parts += (_BYTES_HEAD.pack(_BYTES, len(item)), item)
        else:
            parts.append(msgpack.packb(item, default=_packed))
    parts.append(msgpack.packb(fields_of(call.queued)))
    return parts


def unpack_call(body: Body) -> Call:
    """The other way round.

    Raises:
        ValueError: it is no call.
    """
    if (pictures := _pictures(body)) is not None:
        views, rest = pictures
        return EncodeCall(views, Queued(*unpack(rest)))
    kind, *fields = unpack(body)
    if kind == DESCRIBE:
        return DescribeCall(*fields)
    items, queued = fields
    return EncodeCall(list(items), Queued(*queued))


def _pictures(body: Body) -> tuple[list[Item], memoryview] | None:
    """The items of a call that holds nothing but long pictures, as views of it, and what follows them; None of any other.

    Copies would take memory that the system has to make anew for each call: 20 µs a picture of 60 KB.
    """
    view = memoryview(body)
    if len(view) < _HEAD.size or view[0] != _ARRAY_OF_3 or view[1] != ENCODE or view[2] != _ARRAY:
        return None
    *_, count = _HEAD.unpack_from(view)
    items: list[Item] = []
    at = _HEAD.size
    for _ in range(count):
        if at + _BYTES_HEAD.size > len(view) or view[at] != _BYTES:
            return None
        _, size = _BYTES_HEAD.unpack_from(view, at)
        start = at + _BYTES_HEAD.size
        at = start + size
        items.append(view[start:at])
    return (items, view[at:]) if at < len(view) else None


def pack_refusal(refusal: Refusal) -> bytes:
    """The body of a reply that says why there is none."""
    body: bytes = msgpack.packb(fields_of(refusal))
    return body


def pack_reply(reply: Answer) -> bytes:
    """A reply's body."""
    fields: tuple[Any, ...]
    if isinstance(reply, EncodeReply):
        errors = [(row, fields_of(error)) for row, error in reply.errors.items()]
        vectors = np.ascontiguousarray(reply.vectors, "<f4")
        described = (fields_of(reply.label), vectors.shape, vectors.data.cast("B"))
        fields = (EMBEDDED, *described, reply.tokens, errors, fields_of(reply.stages))
    elif isinstance(reply, ModelInfo):
        label, *rest = fields_of(reply)
        fields = (DESCRIBED, fields_of(label), *rest)
    else:
        fields = (WRONG_ARTIFACT, fields_of(reply.label))
    body: bytes = msgpack.packb(fields)
    return body


def unpack_reply(body: Body) -> Reply:
    """The other way round; vectors are a read-only view of ``body``.

    Raises:
        ValueError: it is no reply.
    """
    kind, *fields = unpack(body)
    if kind == EMBEDDED:
        label, shape, vectors, tokens, errors, stages = fields
        return EncodeReply(
            Label(*label),
            np.frombuffer(vectors, "<f4").reshape(shape),
            list(tokens),
            {row: ItemError(*error) for row, error in errors},
            Stages(*stages),
        )
    if kind == DESCRIBED:
        label, *rest = fields
        return ModelInfo(Label(*label), *rest)
    if kind == WRONG_ARTIFACT:
        return WrongArtifact(Label(*fields[0]))
    return Refusal(kind, *fields[:3])


def fields_of(value: Any) -> tuple[Any, ...]:
    """The fields of a dataclass with slots, in their order."""
    return tuple(getattr(value, field) for field in type(value).__slots__)


def unpack(body: Body) -> Any:
    """What msgpack packed, as tuples.

    Raises:
        ValueError: it is nothing of that kind.
    """
    return msgpack.unpackb(body, use_list=False, strict_map_key=True, ext_hook=_unpacked)


def _packed(value: Any) -> msgpack.ExtType:
    """What msgpack does not know: a text or ids with a named prompt."""
    if isinstance(value, Prompted):
        return msgpack.ExtType(PROMPTED, msgpack.packb((value.prompt, value.content)))
    raise TypeError(f"{type(value).__name__} does not travel")


def _unpacked(code: int, data: bytes) -> Prompted:
    if code != PROMPTED:
        raise ValueError(f"unknown extension type {code}")
    return Prompted(*msgpack.unpackb(data, use_list=False))
