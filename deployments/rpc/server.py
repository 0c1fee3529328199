"""The replica's end: listens for gateways and answers their calls."""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import ray

from deployments.contract.types import EncodeReply, Item, Queued
from deployments.observability.logging import logger
from deployments.rpc.codec import FAILED, FORMAT, REFUSED, pack_refusal, pack_reply, unpack_call
from deployments.rpc.framing import Frames
from models.errors import UnavailableError

CALLS = 64  # at once, where nobody says otherwise; above it gateways turn to another replica
BODY = 256 * 2**20  # bytes of a call, as RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH
SECRET_BYTES = 32
HOST_VARIABLE = "EMBEDSERVE_CHANNEL_HOST"  # where to listen, where the address that Ray knows the node by will not do

Encode = Callable[[list[Item], Queued], Awaitable[EncodeReply]]


class Server:
    """Answers calls of gateways that know the secret, which Serve hands to them with the replica's address."""

    def __init__(self, encode: Encode, most_calls: Callable[[], int] = lambda: CALLS) -> None:
        """Answer with what ``encode`` returns; nothing listens before ``start``.

        Args:
            encode: computes the answer to a call.
            most_calls: tells how many calls may be under way at once; it is asked for each of them.
        """
        self._encode = encode
        self._most_calls = most_calls
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self) -> dict[str, Any]:
        """Listen on this node's address, or on the one in ``EMBEDSERVE_CHANNEL_HOST``.

        Returns:
            What gateways need to know, for ``record_replica_metadata``.
        """
        loop = asyncio.get_running_loop()
        host = os.environ.get(HOST_VARIABLE) or str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        self._server = await loop.create_server(lambda: _Connection(self), host, 0)
        port = self._server.sockets[0].getsockname()[1]
        return {"host": host, "port": port, "secret": self._secret.hex(), "format": FORMAT}

    @property
    def listening(self) -> bool:
        """Whether calls can come in."""
        return self._server is not None

    async def close(self) -> None:
        """Refuse new calls, finish those under way, and end the connections."""
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
        """Know a connection until it is lost."""
        self._connections.add(connection)

    def forget(self, connection: _Connection) -> None:
        """The connection is lost; its calls are answered into the void."""
        self._connections.discard(connection)

    def knows(self, secret: bytes) -> bool:
        """Whether a gateway may call."""
        return hmac.compare_digest(secret, self._secret)

    def take(self, connection: _Connection, number: int, body: bytes) -> None:
        """Begin a call, or refuse it."""
        stopping = self._server is None
        if stopping or len(self._calls) >= self._most_calls():
            reason = "the replica is stopping" if stopping else f"the replica holds {len(self._calls)} calls"
            connection.send(number, pack_refusal(REFUSED, reason))
            return
        task = asyncio.ensure_future(self._answer(connection, number, body))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answer(self, connection: _Connection, number: int, body: bytes) -> None:
        try:
            reply = pack_reply(await self._encode(*unpack_call(body)))
        except UnavailableError as error:
            reply = pack_refusal(REFUSED, str(error))
        except Exception as error:  # it belongs to this call alone; the gateway hears of it
            logger.error("a call failed", exc_info=error)
            reply = pack_refusal(FAILED, str(error))
        connection.send(number, reply)


class _Connection(Frames):
    """One gateway's; its first frame must be the secret."""

    def __init__(self, server: Server) -> None:
        super().__init__(SECRET_BYTES)
        self._server = server
        self._known = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.admit(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._server.forget(self)

    def frame_received(self, number: int, body: bytes) -> None:
        if self._known:
            self._server.take(self, number, body)
        elif self._server.knows(body):
            self._known, self.limit = True, BODY
        else:
            self.close()
