"""The caller's end of one connection to a replica, whatever it asks there."""

from __future__ import annotations

import asyncio
from typing import Any

from deployments.rpc.codec import REFUSED, Refusal
from deployments.rpc.framing import Body, Frames
from deployments.rpc.server import BODY
from models.errors import EmbedserveError, EngineError, EngineTimeoutError, UnavailableError


class ConnectionLostError(UnavailableError):
    """The replica did not answer this call; another may."""


class ComputingLostError(ConnectionLostError, EngineError):
    """The replica failed or ended while it had this call; another may not, unless the call is why."""


class TimedOutError(ComputingLostError, EngineTimeoutError):
    """The replica's engine did not come back from this call in time."""


class CallFailedError(EmbedserveError):
    """The replica failed to compute this call."""


class Calls(Frames):
    """Calls under way to one replica."""

    def __init__(self) -> None:
        """Have no calls under way."""
        super().__init__(BODY)
        self._calls: dict[int, asyncio.Future[Any]] = {}
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

    def read(self, body: Body) -> Any:
        """A reply, or a ``Refusal``.

        Raises:
            ValueError: it is neither.
        """
        raise NotImplementedError

    def tell(self, *parts: Body) -> int:
        """Send a call, whose body is in parts; its number."""
        self._number += 1
        self.send(self._number, *parts)
        return self._number

    async def ask(self, *parts: Body) -> Any:
        """Send a call, and wait for its reply.

        Raises:
            ConnectionLostError: the replica is gone, or refused it.
            ComputingLostError: it went, or its engine failed, with the call under way.
            TimedOutError: its engine hangs at the call.
            CallFailedError: the replica failed.
        """
        if not self.alive:
            raise ConnectionLostError("the connection to the replica is closed")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        number = self._number + 1
        self._calls[number] = future
        try:
            self.tell(*parts)
            return await future
        finally:
            self._calls.pop(number, None)
            self._close_when_idle()

    def frame_received(self, number: int, body: Body) -> None:
        """Give a reply to whoever waits for it."""
        reply = self.read(body)
        future = self._calls.get(number)
        if future is None or future.done():
            return
        if isinstance(reply, Refusal):
            future.set_exception(_error(reply))
        else:
            future.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the calls under way."""
        self.transport = None
        for future in self._calls.values():
            if not future.done():
                future.set_exception(ComputingLostError(f"the replica went away ({exc or 'it closed the connection'})"))

    def retire(self) -> None:
        """Close once the calls under way are answered."""
        self._retired = True
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self._retired and not self._calls and self.transport is not None:
            self.transport.close()


def _error(refusal: Refusal) -> EmbedserveError:
    """What a call comes to that a replica refused or failed."""
    if refusal.kind != REFUSED:
        return CallFailedError(refusal.reason)
    if refusal.timed_out:
        return TimedOutError(refusal.reason)
    return ComputingLostError(refusal.reason) if refusal.computing else ConnectionLostError(refusal.reason)
