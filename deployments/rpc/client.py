"""The gateway's end: one connection to each replica of a version, and which of them takes a call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.observability.logging import logger
from deployments.rpc.codec import (
    FORMAT,
    REFUSED,
    Call,
    DescribeCall,
    EncodeCall,
    Refusal,
    Reply,
    pack_call,
    unpack_reply,
)
from deployments.rpc.framing import Frames
from deployments.rpc.server import BODY, Endpoint
from models.errors import EmbedserveError, UnavailableError

CONNECT_TIMEOUT_S = 2.0
COMPARED = 8  # connections compared for a call; of more replicas two are drawn, so that 64 make no call dearer
REST_S = 5.0  # between two attempts to connect to a replica; calls go through Serve's handle meanwhile


class ConnectionLostError(UnavailableError):
    """The replica did not answer this call; another may."""


class CallFailedError(EmbedserveError):
    """The replica failed to compute this call."""


class Connection(Frames):
    """Calls under way to one replica."""

    def __init__(self) -> None:
        """Have no calls under way."""
        super().__init__(BODY)
        self._calls: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0
        self._retired = False

    @property
    def alive(self) -> bool:
        """Whether calls can be made."""
        return self.transport is not None and not self.transport.is_closing()

    @property
    def under_way(self) -> int:
        """Calls without an answer."""
        return len(self._calls)

    async def encode(self, items: list[Item], queued: Queued) -> EncodeReply:
        """Let the replica embed items.

        Raises:
            ConnectionLostError: the replica is gone, or refused it.
            CallFailedError: the replica failed.
        """
        reply = await self._call(EncodeCall(items, queued))
        assert isinstance(reply, EncodeReply)
        return reply

    async def describe(self, max_age_s: float) -> ModelInfo:
        """Ask what the replica serves, proved by an embedding not older than ``max_age_s`` seconds.

        Raises:
            ConnectionLostError: the replica is gone, or refused it.
            CallFailedError: the replica does not embed.
        """
        reply = await self._call(DescribeCall(max_age_s))
        assert isinstance(reply, ModelInfo)
        return reply

    async def _call(self, call: Call) -> Reply:
        self._number += 1
        number = self._number
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        try:
            self.send(number, pack_call(call))
            return await future
        finally:
            self._calls.pop(number, None)
            self._close_when_idle()

    def frame_received(self, number: int, body: bytes) -> None:
        """Give a reply to whoever waits for it."""
        future = self._calls.get(number)
        if future is None or future.done():
            return
        reply = unpack_reply(body)
        if isinstance(reply, Refusal):
            error = ConnectionLostError if reply.kind == REFUSED else CallFailedError
            future.set_exception(error(reply.reason))
        else:
            future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the calls under way."""
        self.transport = None
        for future in self._calls.values():
            if not future.done():
                future.set_exception(
                    ConnectionLostError(f"the replica went away ({exc or 'it closed the connection'})")
                )

    def retire(self) -> None:
        """Close once the calls under way are answered."""
        self._retired = True
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self._retired and not self._calls and self.transport is not None:
            self.transport.close()


class ConnectionPool:
    """A connection to each replica of one version."""

    def __init__(self, version: str) -> None:
        """Have none; ``version`` names them in the log."""
        self._version = version
        self._replicas: Mapping[str, Endpoint] = {}
        self._ready: list[Connection] = []  # to each of the replicas; empty while one is missing
        self._turn = 0
        self._open: dict[str, Connection] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}

    def pick(self, replicas: Mapping[str, Endpoint]) -> Connection | None:
        """The connection with the fewest calls under way; of many replicas, of two that are drawn.

        Args:
            replicas: where each replica takes calls; another mapping, or another length, when they are others.

        Returns:
            None unless every replica is connected: Serve's handle then finds out which of them are alive.
        """
        if self._ready and replicas is self._replicas and len(replicas) == len(self._ready):
            some = self._ready if len(self._ready) <= COMPARED else random.choices(self._ready, k=2)
            if all(connection.alive for connection in some):
                return self._least_busy(some)
        self._ready = self._connected_to(replicas)
        return self._least_busy(self._ready) if self._ready else None

    def _least_busy(self, some: list[Connection]) -> Connection:
        """Of several with equally few calls another one each time: a call that one refused must not go there again."""
        self._turn = (self._turn + 1) % len(some)
        return min(some[self._turn :] + some[: self._turn], key=_under_way)

    def any_ready(self) -> Connection | None:
        """A connection drawn by chance, so that one question after the other reaches every replica; None without any."""
        alive = [connection for connection in self._ready if connection.alive]
        return random.choice(alive) if alive else None

    def _connected_to(self, replicas: Mapping[str, Endpoint]) -> list[Connection]:
        """The connections to all of them; those that are missing begin, and there is none until they are there."""
        self._replicas = replicas
        for gone in self._open.keys() - replicas.keys():
            self._open.pop(gone).retire()
        found = []
        for name, endpoint in replicas.items():
            connection = self._open.get(name)
            if connection is None or not connection.alive:
                self._connect(name, endpoint)
            else:
                found.append(connection)
        return found if len(found) == len(replicas) else []

    def _connect(self, name: str, endpoint: Endpoint) -> None:
        if name not in self._opening and endpoint["format"] == FORMAT:
            self._opening[name] = task = asyncio.ensure_future(self._connected(name, endpoint))
            task.add_done_callback(lambda _: self._opening.pop(name, None))

    async def _connected(self, name: str, endpoint: Endpoint) -> None:
        connecting = asyncio.get_running_loop().create_connection(Connection, endpoint["host"], endpoint["port"])
        try:
            _, connection = await asyncio.wait_for(connecting, CONNECT_TIMEOUT_S)
        except OSError as error:  # TimeoutError is one
            logger.warning("%s of %s takes no connection: %r", name, self._version, error)
        else:
            connection.send(0, bytes.fromhex(endpoint["secret"]))
            if name in self._replicas:
                self._open[name] = connection
            else:
                connection.close()
        await asyncio.sleep(REST_S)


def _under_way(connection: Connection) -> int:
    return connection.under_way
