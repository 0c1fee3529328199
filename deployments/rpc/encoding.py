"""An encoder's end: takes gateways' calls for vectors and for what it serves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from deployments.contract.call import Queued
from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply, WrongArtifact
from deployments.rpc.codec import EncodeCall, pack_reply, unpack_call
from deployments.rpc.framing import Body
from deployments.rpc.server import CALLS, Server

Encode = Callable[[list[Item], Queued], Awaitable[EncodeReply | WrongArtifact]]
Describe = Callable[[float], Awaitable[ModelInfo]]


class EncodeServer(Server):
    """Answers calls of gateways."""

    def __init__(self, encode: Encode, describe: Describe, most_calls: Callable[[], int] = lambda: CALLS) -> None:
        """Nothing listens before ``start``.

        Args:
            encode: computes the answer to a call.
            describe: says what the replica serves.
            most_calls: tells how many calls may be under way at once; it is asked for each of them.
        """
        super().__init__(most_calls)
        self._encode, self._describe = encode, describe

    async def answer(self, body: Body) -> bytes:
        """Vectors, or a description."""
        call = unpack_call(body)
        if isinstance(call, EncodeCall):
            return pack_reply(await self._encode(call.items, call.queued))
        return pack_reply(await self._describe(call.max_age_s))
