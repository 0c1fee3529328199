"""Calls and replies as bytes: msgpack, because what anybody can send must be data and never code."""

from __future__ import annotations

from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
import numpy as np

from deployments.contract.types import EncodeReply, Item, ItemError, Label, Queued, Stages

FORMAT: Final = 1  # gateways call only encoders of the same format, others through Serve's handle
DONE, FAILED, REFUSED = range(3)  # a reply's first field; refused: nothing was computed, another replica may


def pack_call(items: list[Item], queued: Queued) -> bytes:
    """One call's body."""
    body: bytes = msgpack.packb((items, _fields(queued)))
    return body


def unpack_call(body: bytes) -> tuple[list[Item], Queued]:
    """The other way round.

    Raises:
        ValueError: it is no call.
    """
    items, queued = _unpack(body)
    return list(items), Queued(*queued)


def pack_reply(reply: EncodeReply) -> bytes:
    """A computed reply's body."""
    errors = [(row, _fields(error)) for row, error in reply.errors.items()]
    vectors = np.ascontiguousarray(reply.vectors, "<f4")
    content = (_fields(reply.label), vectors.shape, vectors.data.cast("B"), reply.tokens, errors, _fields(reply.stages))
    body: bytes = msgpack.packb((DONE, *content))
    return body


def pack_refusal(kind: int, reason: str) -> bytes:
    """The body of a reply that brings no vectors: ``FAILED`` or ``REFUSED``."""
    body: bytes = msgpack.packb((kind, reason))
    return body


def unpack_reply(body: bytes) -> EncodeReply | tuple[int, str]:
    """A reply, or the kind of refusal and its reason.

    Raises:
        ValueError: it is no reply.
    """
    kind, *fields = _unpack(body)
    if kind != DONE:
        return kind, fields[0]
    label, shape, vectors, tokens, errors, stages = fields
    return EncodeReply(
        Label(*label),
        np.frombuffer(vectors, "<f4").reshape(shape),
        list(tokens),
        {row: ItemError(*error) for row, error in errors},
        Stages(*stages),
    )


def _fields(value: Label | ItemError | Queued | Stages) -> tuple[Any, ...]:
    return tuple(getattr(value, field) for field in type(value).__slots__)


def _unpack(body: bytes) -> Any:
    return msgpack.unpackb(body, use_list=False, strict_map_key=True)
