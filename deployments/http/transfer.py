"""One request on its way in, and its answer on its way out."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from deployments.http.drips import AFTER_S, DRIP
from deployments.http.interruptible import Interruptible
from deployments.http.movement import Movement
from deployments.http.places import Places
from deployments.http.transfers import SMALL, Transfers
from deployments.serve_internals import long_bodies
from deployments.serve_internals.cut_off import arrived, cut_off, keep_little, pause, resume
from models.errors import UnavailableError

READING = 1e6  # bytes per second at which an answer counts as read while nothing is known
SLICE = 65536  # of an answer: the server takes the next when it has less than that to write
TRANSFER: Final = "embedserve.transfer"  # in the scope of a request: its transfer


class Transfer:
    """Stands between a server and an application: what passes is counted, and ends when it is too slow."""

    movement: Movement  # of the request, once it has begun; once it is there, of the answer

    def __init__(self, transfers: Transfers, places: Places, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin a request that the server offers."""
        self._all = transfers
        self._places = places
        self._scope = scope
        self._receive = receive
        self._send = send
        self._client = Interruptible()
        self._head: Message | None = None
        self._long = self._drips = False
        self._ticket: int | None = None  # of its place
        self._turn: asyncio.Future[None] | None = None
        self.declared = 0  # bytes of the body, where its head says so
        self.held = 0  # bytes
        self.whole = False  # the request is there

    def arrived(self) -> None:
        """Take a place for the request, which is there.

        Raises:
            UnavailableError: none is free.
        """
        self.whole = True
        self._ticket = self._places.take()

    async def receive(self) -> Message:
        """The next part of the request.

        Raises:
            SlowInputError: it comes too slowly.
            UnavailableError: there is no room for it, or no place for the request that has arrived.
        """
        if self.whole:
            return await self._receive()
        if not self._client.begun:
            if arrived(self._scope):
                return self._taken(await self._receive())
            self._begin()
        if self._drips:
            await self._rest()
        if self._client.error is not None:
            raise self._client.error
        if self.declared - self.movement.moved > SMALL:
            long_body = long_bodies.begin(self._scope, self.declared - self.movement.moved, self._came)
            if long_body is not None:
                return await self._rest_of(long_body)
        message: Message = await self._client.wait(self._receive())
        if message["type"] != "http.request":
            return message
        size = len(message.get("body", b""))
        self.movement.moved += size
        if message.get("more_body", False):
            now = asyncio.get_running_loop().time()
            self._all.hold(self, size, self.movement.pace(now))
            self._drips = size < DRIP and now - self.movement.began > AFTER_S
            return message
        self._all.leave(self)
        return self._taken(message)

    async def _rest_of(self, long_body: long_bodies.LongBody) -> Message:
        """All that was missing of the request, as one part; ``_came`` counts it meanwhile."""
        try:
            message: Message = await self._client.wait(self._receive())
        finally:
            long_body.end()
        if message["type"] == "http.request":
            self._all.leave(self)
            self.arrived()
        return message

    def _came(self, size: int, *, whole: bool) -> None:
        """Count bytes of a body that comes in one piece."""
        if self._client.error is not None:
            return
        now = asyncio.get_running_loop().time()
        self.movement.moved += size
        try:
            self._all.hold(self, size, math.inf if whole else self.movement.pace(now))
        except UnavailableError as error:
            if not self._client.waiting:
                raise
            self._client.end(error)
        if size < DRIP and not whole and now - self.movement.began > AFTER_S:
            pause(self._scope)
            self._all.drips.add(self)

    def _taken(self, message: Message) -> Message:
        """The last part of the request, which is there now and takes its place."""
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            if self.held + size > SMALL:
                self._all.hold(self, size, math.inf)  # those that are not there make room
            self.arrived()
        return message

    async def _rest(self) -> None:
        """Leave what comes to the system until it is its turn."""
        pause(self._scope)
        self._turn = asyncio.get_running_loop().create_future()
        self._all.drips.add(self)
        await self._client.wait(self._turn)

    def read_on(self) -> None:
        """It is its turn."""
        turn, self._turn = self._turn, None
        if turn is None:
            resume(self._scope)
        elif not turn.done():
            turn.set_result(None)

    def expect(self, size: int) -> None:
        """Count what the request takes until its answer is made, where that is much more than its body.

        Raises:
            UnavailableError: there is no room for it, or too many such are under way.
        """
        if not self._long:
            self._places.take_for_long()
            self._long = True
        self._all.hold(self, self._all.at_most(size), READING)

    def unpacked(self, size: int) -> None:
        """Count what a compressed body became.

        Raises:
            UnavailableError: there is no room for it.
        """
        self._all.hold(self, size, math.inf)

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer. Its head waits for the first of its body, so that there still may be another.

        Raises:
            UnavailableError: there is no room for the answer.
        """
        if message["type"] == "http.response.start":
            self._head = message
            return
        if self._client.error is not None:
            return
        body = message.get("body", b"")
        if (head := self._head) is not None:
            self._leave()
            if len(body) > SMALL:
                self._all.hold(self, len(body), READING)
            self._head = None
            if (told := self._places.told) is not None:
                head["headers"] = [*head["headers"], told]
            await self._send(head)
        if len(body) <= SMALL:
            await self._send(message)
        else:
            await self._send_slowly(body, more=message.get("more_body", False))

    def end(self) -> None:
        """Forget it."""
        if self._client.begun:
            self._all.leave(self)
        self._leave()

    def _leave(self) -> None:
        """Give back the place and the memory of the request."""
        if self.held:
            self._all.release(self)
        if self._long:
            self._long = False
            self._places.leave_by_long()
        if self._ticket is not None:
            self._places.leave(self._ticket)
            self._ticket = None

    @property
    def begun(self) -> bool:
        """Whether something of the request was asked for."""
        return self._client.begun

    def look(self, now: float) -> None:
        """Note what passed since the last look, or since it began; what does not move waits for its turn."""
        still = not self.movement.look(now)
        if still and self._client.waiting and not self.whole and now - self.movement.began > AFTER_S:
            pause(self._scope)
            self._all.drips.add(self)

    def stop(self, error: Exception) -> None:
        """End it: what waits for the client raises ``error``."""
        self._client.end(error)

    def _begin(self) -> None:
        self._client.begin()
        self.movement = Movement(asyncio.get_running_loop().time())
        self._all.watch(self)

    async def _send_slowly(self, body: bytes, *, more: bool) -> None:
        """Send an answer in slices, each when the one before is on its way, until it is read too slowly."""
        self._begin()
        keep_little(self._scope)
        try:
            for at in range(0, len(body), SLICE):
                rest = at + SLICE < len(body) or more
                if self._client.error is not None:
                    raise self._client.error
                part = {"type": "http.response.body", "body": body[at : at + SLICE], "more_body": rest}
                await self._client.wait(self._send(part))
                self.movement.moved += SLICE
        except Exception as error:
            if error is not self._client.error:
                raise
            cut_off(self._scope)
            await asyncio.sleep(0)  # the server notices
        finally:
            self._all.leave(self)
