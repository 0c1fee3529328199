"""The fields of a protobuf message in a file, one by one, so that large ones can be skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

VARINT, LENGTH_DELIMITED = 0, 2  # protobuf wire types
FIXED = {1: 8, 5: 4}  # wire types of numbers with a fixed length, and that length in bytes
LONGEST_VARINT = 10

Field = tuple[int, int, int, bytes]  # number, wire type, length of the payload in bytes, the encoded tag and length


def fields_of(file: BinaryIO, end: int) -> Iterator[Field]:
    """The fields of the message that ends at ``end``; the caller reads or skips each payload.

    Raises:
        EOFError: the message is cut off or malformed.
    """
    while file.tell() < end:
        tag, head = _varint(file)
        wire_type = tag & 7
        if wire_type == LENGTH_DELIMITED:
            length, more = _varint(file)
            head += more
        elif wire_type == VARINT:
            _, payload = _varint(file)
            length = len(payload)
            file.seek(-length, os.SEEK_CUR)
        elif wire_type in FIXED:
            length = FIXED[wire_type]
        else:
            raise EOFError
        if file.tell() + length > end:
            raise EOFError
        yield tag >> 3, wire_type, length, head
    if file.tell() != end:
        raise EOFError


def _varint(file: BinaryIO) -> tuple[int, bytes]:
    """The next base-128 number, and its encoded bytes.

    Raises:
        EOFError: the file ends, or the number is too long.
    """
    value, raw = 0, b""
    while byte := file.read(1):
        value |= (byte[0] & 127) << (7 * len(raw))
        raw += byte
        if byte[0] < 128:
            return value, raw
        if len(raw) == LONGEST_VARINT:
            break
    raise EOFError
