"""A limit of time and size for the head of a request on a replica's own port.

HAProxy has one; but another node's HAProxy and any program inside the network reach the port without it, and uvicorn waits for a
head for ever, however large it grows. What it refuses by itself, a head that it cannot read, is answered in JSON here too.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from deployments.serve_internals import long_bodies
from deployments.serve_internals.seams import SEAMS

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Protocol
else:
    Protocol = object  # uvicorn's is imported while the seam is on alone: a later uvicorn may lack it

LIMIT_S: Final = 10.0  # as HAProxy's `timeout http-request`
HEAD_BYTES: Final = 65536  # as HAProxy's buffer, so that whatever passes there passes here
Refusal = tuple[int, bytes, str, str | None]  # status, its words, message and code
LATE: Final = (408, b"Request Timeout", "the head of the request had not arrived in time", "head_too_slow")
LARGE: Final = (431, b"Request Header Fields Too Large", "the head of the request is too large", "headers_too_large")
UNREADABLE: Final = (400, b"Bad Request", "this is not a request of HTTP/1.1 or HTTP/1.0", None)


def install() -> None:
    """Let every server that this process starts from now on keep the limits."""
    from uvicorn import config

    SEAMS.start("slow_heads")
    config.HTTP_PROTOCOLS["auto"] = limited(LIMIT_S)  # uvicorn takes a class as well as its name


def limited(limit_s: float) -> Any:
    """Uvicorn's protocol with a limit of ``limit_s`` for a head: a class."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    return type("LimitedHeads", (HeadLimit, HttpToolsProtocol), {"limit_s": limit_s})


def answer(status: int, reason: bytes, message: str, code: str | None) -> bytes:
    """An error that ends its connection, as bytes."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    body = json.dumps({"error": error}, separators=(",", ":")).encode()
    head = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    return head % (status, reason, len(body)) + body


class HeadLimit(Protocol):
    """A connection whose requests must name themselves in time. A request whose head comes in one piece costs 0.8 µs more."""

    limit_s: float
    _in_head = True
    _in_body = False  # what came last held a part of one
    _counted = 0  # bytes of a head, or of trailers behind a body
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._in_head, self._counted = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that it ended."""
        self._in_head = False
        if self._timer is not None:  # the head came in pieces, or is the first
            self._stop()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note that what came is no head and no trailer."""
        self._in_body, self._counted = True, 0
        if SEAMS.on("long_bodies"):
            long_bodies.keep_whole(self.cycle)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """Read what came, and see what is still to come."""
        self._in_body = False
        super().data_received(data)
        if self._in_head or self.cycle.response_complete:
            self._unfinished(len(data))
        elif self.cycle.more_body and not self._in_body:
            self._count(len(data))

    def _should_upgrade(self) -> bool:
        """Never: nothing here speaks WebSockets, and uvicorn's own refusal is 500 as text."""
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: a stranger would fill the log."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words for everything that it cannot read
        """Refuse what is no head."""
        self._refuse(UNREADABLE)

    def _unfinished(self, count: int) -> None:
        """What came ended no head."""
        if self._timer is None:
            self._wait()  # what began this head may have ended a body: only what follows is counted
        elif self._in_head:
            self._count(count)

    def _count(self, count: int) -> None:
        self._counted += count
        if self._counted > HEAD_BYTES:
            self._refuse(LARGE)

    def _wait(self) -> None:
        if not self.transport.is_closing():
            self._timer = self.loop.call_later(self.limit_s, self._late)

    def _late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # of the request before: it is not read on
            self._wait()
        else:
            self._refuse(LATE)

    def _refuse(self, why: Refusal) -> None:
        SEAMS.uses["slow_heads"] += 1
        self._stop()
        begun = self._in_head and self.scope is not None
        if (begun or why is UNREADABLE) and not self.transport.is_closing():
            self.transport.write(answer(*why))
        self.transport.close()

    def _stop(self) -> None:
        self._counted = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
