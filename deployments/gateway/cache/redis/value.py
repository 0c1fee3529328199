"""A cached vector as the bytes that a shared cache stores."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from deployments.gateway.cache.memory import Entry

HEADER = struct.Struct("<III")  # CRC-32 of the key and all that follows, tokens, flags
PREFIX = b"embedserve:1:"  # counted up whenever the bytes of a value change their meaning
CRC_BYTES = 4
SYNTHETIC = 1  # flag: the weights were random


def packed(key: bytes, entry: Entry) -> bytes:
    """Header, then the vector as little-endian float32."""
    vector = entry.vector.astype("<f4", copy=False).tobytes()
    body = HEADER.pack(0, entry.tokens, SYNTHETIC * entry.synthetic)[CRC_BYTES:] + vector
    return zlib.crc32(key + body).to_bytes(CRC_BYTES, "little") + body


def unpacked(key: bytes, value: bytes, dimensions: int) -> Entry | None:
    """The entry that ``packed`` made under this key; None for bytes of another size, damaged ones, or another key's."""
    if len(value) != HEADER.size + 4 * dimensions:
        return None
    crc, tokens, flags = HEADER.unpack_from(value)
    if crc != zlib.crc32(key + value[CRC_BYTES:]):
        return None
    vector = np.frombuffer(value, "<f4", offset=HEADER.size).astype(np.float32, copy=False)
    return Entry(vector, tokens, bool(flags & SYNTHETIC))


def server_key(key: bytes) -> bytes:
    """The name of an entry on a server that may hold other things too."""
    return PREFIX + key
