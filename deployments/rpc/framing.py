"""Frames on a connection: the length of the body and a number, both little-endian, then the body."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import cast

HEADER = struct.Struct("<IQ")
# A lost node does not close its connections: this many seconds without a sign of life end one.
SILENCE_S = 6
PROBES = 3


class Frames(asyncio.Protocol):
    """Cuts what arrives into frames; a frame above ``limit`` bytes ends the connection."""

    def __init__(self, limit: int) -> None:
        """Accept bodies of up to ``limit`` bytes."""
        self.limit = limit
        self._buffer = bytearray()
        self.transport: asyncio.Transport | None = None

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

    def data_received(self, data: bytes) -> None:
        """Hand every complete frame on."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            size, number = HEADER.unpack_from(self._buffer, start)
            if size > self.limit:
                self.close()
                return
            end = start + HEADER.size + size
            if len(self._buffer) < end:
                break
            body = bytes(memoryview(self._buffer)[start + HEADER.size : end])
            start = end
            self.frame_received(number, body)
        del self._buffer[:start]

    def frame_received(self, number: int, body: bytes) -> None:
        """Take one frame."""
        raise NotImplementedError

    def send(self, number: int, body: bytes) -> None:
        """Write one frame."""
        if self.transport is not None:
            self.transport.writelines((HEADER.pack(len(body), number), body))

    def close(self) -> None:
        """End the connection at once."""
        self._buffer.clear()
        if self.transport is not None:
            self.transport.abort()
