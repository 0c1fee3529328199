"""Compressed bodies, which may hold no more than bodies that are not."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from deployments.contract.short_repr import short_repr
from models.errors import ContentEncodingError, InputError, LimitError

# One body at a time in each gateway: what it unpacks to is counted when it is there, and until then this bounds it.
POOL: Final = ThreadPoolExecutor(1, "inflate")
STEP: Final = 1 << 18  # bytes that are unpacked in one go
PIECE: Final = 1 << 16  # packed bytes that are taken at a time: zlib copies those that it has no use for yet
GZIP, ZLIB, RAW = 31, 15, -15  # as zlib calls the formats
STREAMS: Final = 100  # that may follow each other in one body: each costs some microseconds, however little it holds
MANY: Final = f"more than {STREAMS} streams follow each other in it"
DEFLATED: Final = (
    8  # the method in the first byte of a zlib stream, which HTTP means by "deflate"; some clients send it without
)
WINDOW_LOG: Final = 23  # of zstd: 8 MiB, which RFC 9659 allows a sender


class DamagedError(Exception):
    """A compressed body cannot be read to its end."""


def refuse_unknown(coding: str | None) -> str | None:
    """The coding of a body, lower case; None where it is as it is.

    Raises:
        ContentEncodingError: another than those that are unpacked here, or several.
    """
    name = (coding or "").strip().lower()
    if name in ("", "identity"):
        return None
    if name not in CODINGS:
        raise ContentEncodingError(
            f"content-encoding {short_repr(coding)} is not accepted; accepted is one of {ACCEPTED}",
            code="unsupported_content_encoding",
        )
    return name


async def inflated(body: bytes, coding: str, limit: int) -> bytes:
    """What a compressed body holds.

    Args:
        body: whole, as it came.
        coding: as ``refuse_unknown`` gave it.
        limit: bytes that it may hold.

    Raises:
        LimitError: it holds more; no more than that was unpacked.
        InputError: it is damaged, cut off, or of another coding.
    """
    return await asyncio.get_running_loop().run_in_executor(POOL, _whole, body, coding, limit)


def _whole(body: bytes, coding: str, limit: int) -> bytes:
    parts, size = [], 0
    try:
        for part in CODINGS[coding](body):
            size += len(part)
            if size > limit:
                raise LimitError(
                    f"the body holds more than {limit} bytes when it is unpacked, which is the limit",
                    code="body_too_large",
                )
            parts.append(part)
    except (zlib.error, DamagedError) as error:
        raise InputError(f"the body is no {coding}, or is damaged: {error}", code="invalid_content_encoding") from error
    return b"".join(parts)


def _gzip(body: bytes) -> Iterator[bytes]:
    return _zlib(body, GZIP)


def _deflate(body: bytes) -> Iterator[bytes]:
    by_the_letter = len(body) > 1 and body[0] & 0x0F == DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
    return _zlib(body, ZLIB if by_the_letter else RAW)


def _zlib(body: bytes, form: int) -> Iterator[bytes]:
    """The parts of one stream, or of several that follow each other."""
    view, at = memoryview(body), 0
    for _ in range(STREAMS):
        stream = zlib.decompressobj(form)
        while not stream.eof:
            piece: bytes | memoryview = stream.unconsumed_tail
            if not piece:
                piece = view[at : at + PIECE]
                at += len(piece)
            part = stream.decompress(piece, STEP)
            if not (part or piece or stream.eof):
                raise DamagedError("it ends early")
            yield part
        at -= len(stream.unused_data)
        if at == len(view):
            return
    raise DamagedError(MANY)


def _zstd(body: bytes) -> Iterator[bytes]:
    """The parts of one frame, or of several that follow each other."""
    from backports import zstd  # only here: few send it

    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG}
    for _ in range(STREAMS):
        stream = zstd.ZstdDecompressor(options=options)
        while not stream.eof:
            try:
                part = stream.decompress(body, STEP)
            except zstd.ZstdError as error:
                raise DamagedError(str(error)) from error
            body = b""
            if not part and stream.needs_input and not stream.eof:
                raise DamagedError("it ends early")
            yield part
        body = stream.unused_data
        if not body:
            return
    raise DamagedError(MANY)


CODINGS: Final[Mapping[str, Callable[[bytes], Iterator[bytes]]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
ACCEPTED: Final = ", ".join((*(name for name in CODINGS if not name.startswith("x-")), "identity"))
