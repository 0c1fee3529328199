"""An embedding as the bytes that a shared cache stores."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np

from deployments.contract.embedding import Embedding, Label

HEADER = struct.Struct("<III")  # CRC-32 of the key and all that follows, tokens, flags
PREFIX = b"embedserve:2:"  # counted up whenever the bytes of a value change their meaning
CRC_BYTES = 4
SYNTHETIC = 1  # flag: the weights were random
SAID = 2  # flag: it is known what of the input lies behind the cut, which then stands in the other bits
CUT_BITS = 2
MOST_CUT = 2**30 - 1


def packed(key: bytes, embedding: Embedding) -> bytes:
    """Header, then the vector as little-endian float32."""
    vector = embedding.vector.astype("<f4", copy=False).tobytes()
    flags = SYNTHETIC * embedding.label.synthetic
    if embedding.cut is not None:
        flags |= SAID | min(embedding.cut, MOST_CUT) << CUT_BITS
    body = HEADER.pack(0, embedding.tokens, flags)[CRC_BYTES:] + vector
    return zlib.crc32(key + body).to_bytes(CRC_BYTES, "little") + body


def unpacked(key: bytes, value: bytes, label: Label, dimensions: int) -> Embedding | None:
    """The embedding that ``packed`` wrote under this key.

    Args:
        key: holds the artifact's hash.
        value: bytes from the server, which may be anything.
        label: of that artifact; whether the weights were random is read from the value.
        dimensions: that the vector must have.

    Returns:
        None for bytes of another size, damaged ones, or another key's.
    """
    if len(value) != HEADER.size + 4 * dimensions:
        return None
    crc, tokens, flags = HEADER.unpack_from(value)
    if crc != zlib.crc32(key + value[CRC_BYTES:]):
        return None
    vector = np.frombuffer(value, "<f4", offset=HEADER.size).astype(np.float32, copy=False)
    synthetic = bool(flags & SYNTHETIC)
    cut = flags >> CUT_BITS if flags & SAID else None
    return Embedding(
        vector, tokens, label if label.synthetic == synthetic else replace(label, synthetic=synthetic), cut
    )


def server_key(key: bytes) -> bytes:
    """The name of a value on a server that may hold other things too."""
    return PREFIX + key
