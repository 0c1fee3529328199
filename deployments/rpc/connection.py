"""A gateway's end of its connection to an encoder."""

from __future__ import annotations

from deployments.contract.call import Queued
from deployments.contract.embedding import Label
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, WrongArtifact
from deployments.rpc.calls import Calls
from deployments.rpc.codec import DescribeCall, EncodeCall, Refusal, Reply, pack_call, unpack_reply
from deployments.rpc.framing import Body
from models.errors import UnavailableError


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


class Connection(Calls):
    """Calls under way to one encoder, and what it said of itself."""

    def __init__(self) -> None:
        """Have no calls under way."""
        super().__init__()
        self.label: Label | None = None  # of the artifact that the replica had when it last said so
        self.swap_error: str | None = None  # why it refused the last swap, when it was last asked

    async def encode(self, items: list[Item], queued: Queued) -> EncodeReply:
        """Let the replica embed items.

        Raises:
            WrongArtifactError: the replica does not have the artifact that the call names.
            ConnectionLostError, ComputingLostError, TimedOutError, CallFailedError: as ``ask`` does.
        """
        reply = await self.ask(*pack_call(EncodeCall(items, queued)))
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
        reply = await self.ask(*pack_call(DescribeCall(max_age_s)))
        assert isinstance(reply, ModelInfo)
        return reply

    def inquire(self, max_age_s: float) -> None:
        """Have the replica say what it serves; nobody waits for the answer, which is kept here."""
        self.tell(*pack_call(DescribeCall(max_age_s)))

    def read(self, body: Body) -> Reply:
        """A reply; which artifact the replica has is noted."""
        reply = unpack_reply(body)
        if not isinstance(reply, Refusal):
            self.label = reply.label
            if isinstance(reply, ModelInfo):
                self.swap_error = reply.swap_error
        return reply
