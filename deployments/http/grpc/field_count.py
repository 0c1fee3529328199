"""How many fields a message may have, counted on the wire before it is parsed: an empty tensor of 2 bytes becomes 86, and a dictionary."""

from __future__ import annotations

from typing import Any, Final

from deployments.config.limits import Limits
from models.errors import InputError, LimitError

SMALL: Final = 4096  # bytes of a message that cannot do harm
BESIDE: Final = 1024  # fields that are no items: names, shapes, parameters
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # types of the wire
MESSAGE: Final = 11  # a field's type, as its descriptor says it
TEXTS: Final = (9, 12)  # strings and bytes: whatever they hold is one value


def refuse_many_fields(content: bytes, kind: Any, limits: Limits) -> None:
    """Refuse a message with more fields than any request has use for, however deep they are.

    Args:
        content: of the message.
        kind: its class.
        limits: of items.

    Raises:
        LimitError: it has more, or more bytes than a body may have.
        InputError: it is no message.
    """
    if len(content) > limits.body_bytes:
        raise LimitError(
            f"the message has {len(content)} bytes, the limit is {limits.body_bytes}", code="body_too_large"
        )
    if len(content) <= SMALL:
        return
    most = left = limits.items + BESIDE
    inside = [(kind.DESCRIPTOR, 0, len(content))]
    try:
        while inside:
            descriptor, at, end = inside.pop()
            fields = descriptor.fields_by_number
            while at < end:
                tag, at = _varint(content, at)
                wire = tag & 7
                size, at = _size(content, at, wire)
                left -= 1
                if wire == BYTES and (field := fields.get(tag >> 3)) is not None:
                    if field.type == MESSAGE:
                        inside.append((field.message_type, at, at + size))
                    elif field.type not in TEXTS:
                        left -= size  # numbers one after the other, of which each may be one byte
                if left < 0:
                    raise LimitError(f"the message holds more than {most} values", code="too_many_values")
                at += size
            if at != end:
                raise IndexError
    except IndexError:
        raise InputError(
            f"the message is no {kind.DESCRIPTOR.full_name}: it ends early", code="invalid_message"
        ) from None


def _size(content: bytes, at: int, wire: int) -> tuple[int, int]:
    """Bytes of a field's value, and where they begin."""
    if wire == BYTES:
        return _varint(content, at)
    if wire == VARINT:
        return 0, _varint(content, at)[1]
    if wire in (FIXED64, FIXED32):
        return (8 if wire == FIXED64 else 4), at
    raise IndexError


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = content[at]
    if number < 128:
        return number, at + 1
    number &= 127
    for shift in range(7, 70, 7):
        at += 1
        byte = content[at]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at + 1
    raise IndexError
