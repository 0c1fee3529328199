"""The gateway's end of one connection to a replica."""

from __future__ import annotations

import asyncio

from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, WrongArtifact
from deployments.rpc.codec import (
    REFUSED,
    Call,
    DescribeCall,
    EncodeCall,
    Refusal,
    Reply,
    pack_call,
    unpack_reply,
)
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


class WrongArtifactError(UnavailableError):
    """The replica does not have the artifact that the call names; another may."""

    def __init__(self, label: Label) -> None:
        super().__init__(f"the replica has the artifact {label.hash[:12]}")
        self.label = label  # of the one that it has


class ArtifactGoneError(UnavailableError):
    """No replica that can be called has the artifact that a call names."""

    def __init__(self, label: Label) -> None:
        super().__init__(f"{label.model} now has the artifact {label.hash[:12]}; try again")
        self.label = label  # of one that there is instead


class Connection(Frames):
    """Calls under way to one replica."""

    def __init__(self) -> None:
        """Have no calls under way."""
        super().__init__(BODY)
        self._calls: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0
        self._retired = False
        self.label: Label | None = None  # of the artifact that the replica had when it last said so
        self.swap_error: str | None = None  # why it refused the last swap, when it was last asked

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
            WrongArtifactError: the replica does not have the artifact that the call names.
            ConnectionLostError: the replica is gone, or refused it.
            ComputingLostError: it went, or its engine failed, with the call under way.
            TimedOutError: its engine hangs at the call.
            CallFailedError: the replica failed.
        """
        reply = await self._call(EncodeCall(items, queued))
        if isinstance(reply, WrongArtifact):
            raise WrongArtifactError(reply.label)
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

    def inquire(self, max_age_s: float) -> None:
        """Have the replica say what it serves; nobody waits for the answer, which is kept here."""
        self._number += 1
        self.send(self._number, *pack_call(DescribeCall(max_age_s)))

    async def _call(self, call: Call) -> Reply:
        if not self.alive:
            raise ConnectionLostError("the connection to the replica is closed")
        self._number += 1
        number = self._number
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._calls[number] = future
        try:
            self.send(number, *pack_call(call))
            return await future
        finally:
            self._calls.pop(number, None)
            self._close_when_idle()

    def frame_received(self, number: int, body: Body) -> None:
        """Give a reply to whoever waits for it, and note which artifact the replica has."""
        reply = unpack_reply(body)
        if not isinstance(reply, Refusal):
            self.label = reply.label
            if isinstance(reply, ModelInfo):
                self.swap_error = reply.swap_error
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
