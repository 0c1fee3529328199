"""The replica's end: listens for callers, and answers their calls."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
from collections.abc import Callable
from typing import TypedDict

import ray

from deployments.observability.logging import logger
from deployments.rpc.codec import FAILED, FORMAT, REFUSED, Refusal, pack_refusal
from deployments.rpc.framing import Body, Frames
from deployments.rpc.strangers import Strangers
from models.errors import EngineError, EngineTimeoutError, UnavailableError

CALLS = 64  # at once, where nobody says otherwise; above it gateways turn to another replica
BODY = 256 * 2**20  # bytes of a call, as RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH
SECRET_BYTES = 32
HOST_VARIABLE = "EMBEDSERVE_CHANNEL_HOST"  # where to listen, where the address that Ray knows the node by will not do


class Endpoint(TypedDict):
    """Where a replica takes calls."""

    host: str
    port: int
    secret: str  # 32 bytes in hexadecimal digits, with which a connection begins
    format: int  # of its messages


class Server:
    """Answers calls of those that know the secret, which they are told with the replica's address, through Serve."""

    def __init__(self, most_calls: Callable[[], int] = lambda: CALLS) -> None:
        """Nothing listens before ``start``; ``most_calls`` tells for each call how many may be under way at once."""
        self._most_calls = most_calls
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._server: asyncio.Server | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self._connections: set[_Connection] = set()
        self._strangers = Strangers()
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> Endpoint:
        """Listen on this node's address, or on the one in ``EMBEDSERVE_CHANNEL_HOST``, and say where; once is enough.

        Raises:
            UnavailableError: the replica is stopping.
        """
        async with self._starting:
            if self._closed:
                raise UnavailableError("the replica is stopping")
            if self._server is None:
                loop = asyncio.get_running_loop()
                host = os.environ.get(HOST_VARIABLE) or str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
                self._server = await loop.create_server(lambda: _Connection(self), host, 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return {"host": host, "port": port, "secret": self._secret.hex(), "format": FORMAT}

    @property
    def listening(self) -> bool:
        """Whether calls can come in."""
        return self._server is not None

    async def close(self) -> None:
        """Refuse new calls, finish those under way, and end the connections."""
        self._closed = True
        if self._server is None:
            return
        self._server.close()
        self._server = None
        if self._calls:
            await asyncio.wait(self._calls)
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.close()  # what is written still leaves

    def admit(self, connection: _Connection) -> None:
        """Remember a connection, so that ``close`` can end it; it must say the secret soon."""
        self._connections.add(connection)
        self._strangers.add(connection)

    def forget(self, connection: _Connection) -> None:
        """A connection is lost; its calls are finished, and nobody hears the answers."""
        self._connections.discard(connection)
        self._strangers.discard(connection)

    def knows(self, connection: _Connection, secret: Body) -> bool:
        """Whether this is a gateway, which may call."""
        known = hmac.compare_digest(secret, self._secret)
        if known:
            self._strangers.discard(connection)
        return known

    def take(self, connection: _Connection, number: int, body: Body) -> None:
        """Begin a call, or refuse it."""
        stopping = self._server is None
        if stopping or len(self._calls) >= self._most_calls():
            reason = "the replica is stopping" if stopping else f"the replica holds {len(self._calls)} calls"
            connection.send(number, pack_refusal(Refusal(REFUSED, reason)))
            return
        task = asyncio.ensure_future(self._answer(connection, number, body))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answer(self, connection: _Connection, number: int, body: Body) -> None:
        try:
            reply = await self.answer(body)
        except UnavailableError as error:
            reply = pack_refusal(
                Refusal(REFUSED, str(error), isinstance(error, EngineError), isinstance(error, EngineTimeoutError))
            )
        except Exception as error:  # it belongs to this call alone; the caller hears of it
            logger.error("a call failed", exc_info=error)
            reply = pack_refusal(Refusal(FAILED, str(error)))
        connection.send(number, reply)

    async def answer(self, body: Body) -> bytes:
        """The reply to a call.

        Raises:
            UnavailableError: nothing was computed, and another replica may do it.
            ValueError: it is no call.
        """
        raise NotImplementedError


class _Connection(Frames):
    """One caller's; its first frame must be the secret."""

    def __init__(self, server: Server) -> None:
        super().__init__(SECRET_BYTES)
        self._server = server
        self._known = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.admit(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._server.forget(self)

    def frame_received(self, number: int, body: Body) -> None:
        if self._known:
            self._server.take(self, number, body)
        elif self._server.knows(self, body):
            self._known, self.limit = True, BODY
        else:
            self.close()
