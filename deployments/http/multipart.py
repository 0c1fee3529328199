"""Forms: the parts of a ``multipart/form-data`` body (RFC 7578) as views of it, in time that grows with the body alone.

Not by a parser that steps through the bytes in Python: one of those took 6 s for 32 MiB of half boundaries, on the event
loop. Of the client's content type nothing counts but the boundary, so that no codec of the client's choice ever runs.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from models.errors import InputError, LimitError

PARTS = 1100  # the most pictures of a form, 1,000, and room for other fields
BOUNDARY_BYTES = 256  # RFC 2046 allows 70
# From 30,000 bytes on, CPython looks for a boundary in jumps that each wait for memory: 26 µs for 60 KB, in windows below that 16.
WINDOW = 29_999
HEADER_BYTES = 4096  # of one part: a file name has at most 255 characters
QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
LINE_ENDS = re.compile(rb"(?:\r?\n)*+")  # possessive: what it could go back to would take 57 bytes a byte
PARAMETER = re.compile(
    rb"""[ \t]*;[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"([^"\\]*(?:\\.[^"\\]*)*+)"|([^;"\r\n]*))""",
    re.DOTALL,
)


# What stands before the content of nearly every part; everything else is taken apart line by line, for five times as long.
USUAL = re.compile(
    rb"""\r\ncontent-disposition:[ ]form-data;[ ]name="([^"\\\r\n]*)"(?:;[ ]filename="[^"\\\r\n]*")?(?:\r\ncontent-type:[^\r\n]*)?\r\n\r\n""",
    re.IGNORECASE,
)


class Part(NamedTuple):
    """One part of a form."""

    name: bytes
    content: memoryview


def boundary_of(content_type: str) -> bytes:
    """The boundary that a content type names.

    Raises:
        InputError: it names none, or one that no form can have.
    """
    boundary = _parameters(content_type.encode("latin-1")).get(b"boundary", b"")
    if not 0 < len(boundary) <= BOUNDARY_BYTES:
        raise _unreadable(
            f"its content type must name a boundary of 1 to {BOUNDARY_BYTES} bytes: multipart/form-data; boundary=..."
        )
    return boundary


def parts_of(body: bytes, boundary: bytes) -> list[Part]:
    """The parts of a form, in order.

    Raises:
        InputError: the body is no form with this boundary.
        LimitError: it has more than ``PARTS`` parts.
    """
    delimiter = b"\r\n--" + boundary
    before = LINE_ENDS.match(body)
    at = before.end() if before else 0
    if not body.startswith(delimiter[2:], at):
        raise _unreadable("it must begin with '--' and the boundary that the content type names")
    at += len(delimiter) - 2
    parts: list[Part] = []
    view = memoryview(body)
    while not body.startswith(b"--", at):
        if len(parts) == PARTS:
            raise LimitError(f"the form has more than {PARTS} parts, the limit", param="file")
        start, name = _head(body, at, len(parts))
        end = _found(body, delimiter, start)
        if end < 0:
            raise _unreadable("it has no closing boundary, as a body has that ended early")
        parts.append(Part(name, view[start:end]))
        at = end + len(delimiter)
    return parts


def _found(body: bytes, delimiter: bytes, start: int) -> int:
    """Where the delimiter next begins, or -1."""
    step = WINDOW - len(delimiter) + 1  # one that lies across the end of a window begins in the next
    for at in range(start, len(body), step):
        found = body.find(delimiter, at, at + WINDOW)
        if found >= 0:
            return found
    return -1


def _head(body: bytes, at: int, number: int) -> tuple[int, bytes]:
    """Where the content of the part begins whose boundary ends at ``at``, and its name."""
    if (usual := USUAL.match(body, at, at + HEADER_BYTES)) is not None:
        return usual.end(), usual[1]
    line = body.find(b"\r\n", at, at + HEADER_BYTES)
    if line < 0 or body[at:line].strip(b" \t"):
        raise _unreadable(f"part {number}: its boundary does not end with the line")
    end = body.find(b"\r\n\r\n", line, line + HEADER_BYTES)
    if end < 0:
        raise _unreadable(f"part {number}: its headers do not end within {HEADER_BYTES} bytes")
    return end + 4, _name(body[line + 2 : end], number)


def _name(headers: bytes, number: int) -> bytes:
    """The name in a part's content-disposition."""
    for line in headers.split(b"\r\n") if headers else []:
        field, colon, value = line.partition(b":")
        if not colon:
            raise _unreadable(f"part {number} has a header line without a colon")
        if field.strip().lower() == b"content-disposition":
            name = _parameters(value).get(b"name")
            if name is not None:
                return name
    raise _unreadable(f"part {number} has no content-disposition with a name")


def _parameters(value: bytes) -> dict[bytes, bytes]:
    """The parameters of a header's value; of one that comes twice, the first."""
    found: dict[bytes, bytes] = {}
    at = value.find(b";")
    while at >= 0 and (match := PARAMETER.match(value, at)):
        key, quoted, plain = match.groups()
        content = plain.strip() if quoted is None else quoted
        if quoted is not None and b"\\" in quoted:
            content = QUOTED_PAIR.sub(rb"\1", quoted)
        found.setdefault(key.lower(), content)
        at = match.end()
    return found


def _unreadable(reason: str) -> InputError:
    return InputError(f"the multipart body cannot be read: {reason}", param="file", code="invalid_multipart")
