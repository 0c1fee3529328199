"""One kept-alive HTTP/1.1 connection, with as little work per request as Python allows."""

from __future__ import annotations

import asyncio
import re
from typing import cast

STATUS = slice(9, 12)  # "HTTP/1.1 200 OK"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
RETRY_AFTER = re.compile(rb"\r\nretry-after:", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


def request_bytes(path: str, content_type: str, body: bytes) -> bytes:
    """A POST, head and body."""
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        """Not connected yet."""
        self.closed = False
        self.body = b""
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: asyncio.Future[tuple[int, bool]] | None = None

    @classmethod
    async def connect(cls, port: int) -> Connection:
        """Connect to a port of this machine."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    async def exchange(self, data: bytes) -> tuple[int, bool]:
        """Send a request.

        Returns:
            The status, and whether the answer has a Retry-After header; ``body`` holds its body.

        Raises:
            ConnectionError: the connection ended before the answer.
        """
        if self.closed or self._transport is None:
            raise ConnectionResetError
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport does not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        """Asyncio's call."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._answer is None or self._answer.done():
            return
        head = bytes(self._buffer[:end])
        length = LENGTH.search(head)
        total = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < total:
            return
        self.body = bytes(self._buffer[end + 4 : total])
        self._buffer.clear()
        if CLOSE.search(head):
            self.closed = True
            if self._transport:
                self._transport.close()
        self._answer.set_result((int(head[STATUS]), RETRY_AFTER.search(head) is not None))

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's call."""
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())
