"""Frames on a connection: the length of the body and a number, both little-endian, then the body."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

import numpy as np

HEADER = struct.Struct("<IQ")
# A lost node does not close its connections: this many seconds without a sign of life end one.
SILENCE_S = 6
PROBES = 3
ROOM = 65536  # bytes: what fits in here with its header is copied out, what does not arrives where it stays

Body = bytes | memoryview


class Frames(asyncio.BufferedProtocol):
    """Cuts what arrives into frames; a frame above ``limit`` bytes ends the connection.

    The system writes a long frame, such as a call with pictures, where its reader takes it from: it is copied once.
    """

    def __init__(self, limit: int) -> None:
        """Accept bodies of up to ``limit`` bytes."""
        self.limit = limit
        self.transport: asyncio.Transport | None = None
        self._room = memoryview(bytearray(ROOM))
        self._held = 0  # bytes in it
        self._long: memoryview | None = None  # the body of a frame that does not fit there, as far as it has come
        self._filled = 0  # bytes of it
        self._number_of_long = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and notice soon when the other node is lost."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's does not say that it is one
        connected: socket.socket = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, value in (
            ("TCP_KEEPIDLE", SILENCE_S // 2),
            ("TCP_KEEPINTVL", SILENCE_S // 2 // PROBES),
            ("TCP_KEEPCNT", PROBES),
            ("TCP_USER_TIMEOUT", SILENCE_S * 1000),
        ):
            if hasattr(socket, option):  # not every system has all of them
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def get_buffer(self, _: int) -> memoryview:
        """Where the next bytes go."""
        if self._long is not None:
            return self._long[self._filled :]
        return self._room[self._held :] if self._held else self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Hand every complete frame on."""
        if self._long is None:
            self._held += nbytes
            self._cut()
            return
        self._filled += nbytes
        if self._filled == len(self._long):
            body, self._long = self._long, None
            self.frame_received(self._number_of_long, body)

    def _cut(self) -> None:
        """Take the frames out of the room, and move what is left to its beginning."""
        start = 0
        while self._held - start >= HEADER.size:
            size, number = HEADER.unpack_from(self._room, start)
            if size > self.limit:
                self.close()
                return
            body = start + HEADER.size
            end = body + size
            if end <= self._held:
                start = end
                self.frame_received(number, bytes(self._room[body:end]))
            elif HEADER.size + size <= ROOM:
                break
            else:
                self._begin_long(number, size, self._room[body : self._held])
                return
        left = max(self._held - start, 0)  # nothing after `close`
        if start and left:
            self._room[:left] = self._room[start : self._held]
        self._held = left

    def _begin_long(self, number: int, size: int, begun: memoryview) -> None:
        """Have the rest of a frame arrive in memory of its own, which takes room as it is written to."""
        self._long = np.empty(size, np.uint8).data
        self._long[: len(begun)] = begun
        self._number_of_long, self._filled, self._held = number, len(begun), 0

    def frame_received(self, number: int, body: Body) -> None:
        """Take one frame."""
        raise NotImplementedError

    def send(self, number: int, *parts: Body) -> None:
        """Write one frame, whose body is in parts so that long ones need not be copied together."""
        if self.transport is not None:
            self.transport.writelines((HEADER.pack(sum(map(len, parts)), number), *parts))

    def close(self) -> None:
        """End the connection at once."""
        self._held, self._long = 0, None
        if self.transport is not None:
            self.transport.abort()
