"""A server that answers nothing and counts everything: what load generators say is checked against it."""

from __future__ import annotations

import asyncio
import hashlib

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Echo:
    """Counts requests and remembers which bodies it saw."""

    def __init__(self) -> None:
        """Have seen nothing."""
        self.requests = 0
        self.bodies: set[bytes] = set()

    async def start(self) -> tuple[asyncio.Server, int]:
        """Listen on a free loopback port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 22)
        return server, server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.requests += 1
                self.bodies.add(hashlib.blake2b(body, digest_size=12).digest())
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError, IndexError):
            writer.close()
