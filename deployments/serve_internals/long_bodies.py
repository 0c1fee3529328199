"""The rest of a long body arrives where it stays.

Uvicorn reads 256 KB of it at a time, copies them three times and wakes the application, which has copied them twice more before
it has the body: 15 µs for each 60 KB.
"""

from __future__ import annotations

import asyncio
import ctypes
from functools import cache
from typing import Any, Final, Protocol

from starlette.types import Scope

from deployments.serve_internals.cut_off import SENDER
from deployments.serve_internals.seams import SEAMS

LEAST: Final = 16_384  # bytes that must be there already: who sends nothing gets no room
WRITABLE: Final = 0x200  # PyBUF_WRITE
_API: Final = ctypes.pythonapi
_new, _address, _view = _API["PyBytes_FromStringAndSize"], _API["PyBytes_AsString"], _API["PyMemoryView_FromMemory"]
_new.argtypes, _new.restype = (ctypes.c_void_p, ctypes.c_ssize_t), ctypes.py_object
_address.argtypes, _address.restype = (ctypes.py_object,), ctypes.c_void_p
_view.argtypes, _view.restype = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int), ctypes.py_object


class Came(Protocol):
    """Is told of bytes that came."""

    def __call__(self, size: int, *, whole: bool) -> None:
        """Take their number, and whether they were the last of the body."""


class LongBody(asyncio.BufferedProtocol):
    """Stands in for uvicorn's protocol on a connection until the body of its request is there."""

    def __init__(self, cycle: Any, size: int, came: Came) -> None:
        """Take over; ``size`` bytes of the body are not read by the application yet, some of which came already."""
        self._body, self._room = blank(size)
        self._filled = len(cycle.body)
        self._room[: self._filled] = cycle.body
        self._cycle: Any = cycle
        self._came: Came | None = came
        self._protocol: Any = cycle.transport.get_protocol()
        cycle.body = bytearray()
        cycle.message_event.clear()  # of what came already
        cycle.transport.set_protocol(self)

    def get_buffer(self, _: int) -> memoryview:
        """Where the next bytes go."""
        return self._room[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Hand the body over when it is whole."""
        self._filled += nbytes
        whole = self._filled == len(self._room)
        if self._came is not None:
            self._came(nbytes, whole=whole)
        if whole:
            cycle, protocol, body = self._cycle, self._protocol, self._body
            self.end()
            protocol.parser = _parser(protocol)  # the one before still waits for this body
            cycle.body, cycle.more_body = body, False
            cycle.message_event.set()

    def eof_received(self) -> bool | None:
        """As uvicorn has it."""
        answer: bool | None = self._protocol.eof_received()
        return answer

    def pause_writing(self) -> None:
        """As uvicorn has it."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """As uvicorn has it."""
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Uvicorn tells the application."""
        protocol = self._protocol
        self._forget()
        protocol.connection_lost(exc)

    def end(self) -> None:
        """Give the connection back. Where the body is not whole, it can only be closed."""
        if self._cycle is not None:
            transport = self._cycle.transport
            if transport.get_protocol() is self:
                transport.set_protocol(self._protocol)
            self._forget()

    def _forget(self) -> None:
        """Let everything go: uvloop keeps this object until its connection ends."""
        self._body, self._room = b"", memoryview(b"")
        self._cycle = self._came = self._protocol = None


def begin(scope: Scope, size: int, came: Came) -> LongBody | None:
    """Have the rest of a request's body come in one piece.

    Args:
        scope: of the request.
        size: bytes of the body that the application has not read.
        came: told of bytes as they come.

    Returns:
        None where that cannot be: the body is to be read as usual then. Otherwise the next message holds the whole rest, and
        whoever waits for it must ``end`` this in any case.
    """
    cycle: Any = getattr(scope.get(SENDER), "__self__", None) if SEAMS.on("long_bodies") else None
    if cycle is None or not isinstance(cycle.transport.get_protocol(), _uvicorns()):
        return None
    there = len(cycle.body)
    if not LEAST <= there < size or cycle.disconnected or cycle.response_complete or cycle.transport.is_closing():
        return None
    came(there, whole=False)
    SEAMS.uses["long_bodies"] += 1
    return LongBody(cycle, size, came)


def keep_whole(cycle: Any) -> None:
    """Let uvicorn keep what comes of a body in one piece as it is, before it adds that to what is there already."""
    there = cycle.body
    if not there:
        cycle.body = b""
    elif type(there) is bytes:  # to which nothing can be added without copying it each time
        cycle.body = bytearray(there)


def blank(size: int) -> tuple[bytes, memoryview]:
    """Bytes that nobody has seen yet, and a view through which they get their values.

    As C makes bytes: their pages are taken as they are written to, so that a body that never comes takes no memory.
    """
    body: bytes = _new(None, size)
    return body, _view(_address(body), size, WRITABLE)


def _parser(protocol: Any) -> Any:
    """A new reader of requests, as uvicorn makes one for a connection."""
    parser = type(protocol.parser)(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


@cache
def _uvicorns() -> Any:
    """Uvicorn's protocol, imported while the seam is on alone: a later uvicorn may lack it."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    return HttpToolsProtocol
