"""How many values a large JSON document may have, counted before it is parsed: an empty list of 3 bytes becomes 64."""

from __future__ import annotations

import numpy as np

from deployments.config.limits import Limits
from models.errors import LimitError

SMALL = 65536  # bytes of a document that cannot do harm: 2 MB once parsed
PARTS = 32  # lists, objects and strings for each item that a request may have: a list of strings takes one
NUMBERS = 1024  # values for each item, for token ids: models read the first 256 of one list


def refuse_many_values(body: bytes, limits: Limits) -> None:
    """Refuse a document with more values than any request has use for.

    Raises:
        LimitError: it has; says how many are allowed.
    """
    if len(body) <= SMALL:
        return
    parts, values = limits.items * PARTS, limits.items * NUMBERS
    if _within(body, parts, values):  # with what stands in strings
        return
    outside = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"', 2 * parts + 2)[::2]
    if _within(b'""'.join(outside), parts, values):
        return
    raise LimitError(
        f"the body holds too many values: more than {parts} lists, objects and strings, or more than {values} values in all",
        code="too_many_values",
    )


def _within(text: bytes, parts: int, values: int) -> bool:
    bytes_ = np.frombuffer(text, np.uint8)
    opened = sum(_count(bytes_, sign) for sign in b"[{")
    return opened <= parts and _count(bytes_, ord('"')) <= 2 * parts and _count(bytes_, ord(",")) <= values


def _count(bytes_: np.ndarray[tuple[int], np.dtype[np.uint8]], sign: int) -> int:
    step = 1 << 18  # what a processor's cache holds
    return sum(int(np.count_nonzero(bytes_[at : at + step] == sign)) for at in range(0, len(bytes_), step))
