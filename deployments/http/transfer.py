"""One request on its way in, and its answer on its way out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from deployments.config.limits import Limits
from deployments.http.drips import AFTER_S, DRIP
from deployments.http.places import Places
from deployments.http.transfers import SMALL, Transfers
from deployments.serve_internals.cut_off import cut_off, keep_little, pause, resume
from models.errors import SlowInputError

GRACE_S = 5.0  # before a rate says anything: connections that begin slowly, a network that fails for a moment
SHORTEST_S = 0.01  # that a pace is taken over: the first bytes come at once
READING = 1e6  # bytes per second at which an answer counts as read while nothing is known
SLICE = 65536  # of an answer: the server takes the next when it has less than that to write
TRANSFER: Final = "embedserve.transfer"  # in the scope of a request: its transfer


class Transfer:
    """Stands between a server and an application: what passes is counted, and ends when it is too slow."""

    def __init__(self, transfers: Transfers, places: Places, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin a request that the server offers."""
        self._all = transfers
        self._places = places
        self._scope = scope
        self._receive = receive
        self._send = send
        self._task: asyncio.Task[Any] | None = None
        self._head: Message | None = None
        self._error: Exception | None = None
        self._waiting = False
        self._long = self._drips = False
        self._ticket: int | None = None  # of its place
        self._turn: asyncio.Future[None] | None = None
        self._began = self._looked_at = 0.0
        self.held = 0  # bytes
        self.moved = self._seen = 0  # bytes of the request; once it is there, of the answer
        self._recent = math.inf  # bytes per second of the last looks
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
        if self._task is None:
            self._begin()
        if self._drips:
            await self._rest()
        if self._error is not None:
            raise self._error
        message: Message = await self._wait(self._receive())
        if message["type"] != "http.request":
            return message
        size = len(message.get("body", b""))
        self.moved += size
        if message.get("more_body", False):
            now = asyncio.get_running_loop().time()
            self._all.hold(self, size, self.pace(now))
            self._drips = size < DRIP and now - self._began > AFTER_S
            return message
        self._all.leave(self)
        if self.moved > SMALL:
            self._all.hold(self, size, math.inf)  # it is there: those that are not make room
        self.arrived()
        return message

    async def _rest(self) -> None:
        """Leave what comes to the system until it is its turn."""
        pause(self._scope)
        self._turn = asyncio.get_running_loop().create_future()
        self._all.drips.add(self)
        await self._wait(self._turn)

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
        if self._error is not None:
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
        self._all.leave(self)
        self._leave()

    def _leave(self) -> None:
        """Give back the place and the memory of the request."""
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
        return self._task is not None

    def look(self, now: float) -> None:
        """Note what passed since the last look, or since it began."""
        pace = (self.moved - self._seen) / max(now - self._looked_at, SHORTEST_S)
        self._looked_at = now
        self._recent = pace if self._recent == math.inf else 0.8 * self._recent + 0.2 * pace
        if self._waiting and not self.whole and self.moved == self._seen and now - self._began > AFTER_S:
            pause(self._scope)
            self._all.drips.add(self)
        self._seen = self.moved

    def pace(self, now: float) -> float:
        """Bytes per second: since it began, or of late where that is less."""
        return min(self.moved / max(now - self._began, SHORTEST_S), self._recent)

    def too_slow(self, now: float, limits: Limits) -> SlowInputError | None:
        """Why it must end; None while it may go on."""
        seconds = now - self._began
        if not self.whole and seconds > limits.body_s:
            message = f"the body had not arrived after {limits.body_s:g} s, of which {self.moved} bytes came"
        elif seconds > GRACE_S and self.moved < (seconds - GRACE_S) * limits.bytes_per_s:
            least = f"at least {limits.bytes_per_s} bytes a second are needed"
            message = f"the body comes too slowly: {self.moved} bytes in {seconds:.0f} s; {least}"
        else:
            return None
        return SlowInputError(message, code="body_too_slow")

    def stop(self, error: Exception) -> None:
        """End it: what waits for the client raises ``error``."""
        self._error = error
        if self._waiting and self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.current_task()
        self._began = self._looked_at = asyncio.get_running_loop().time()
        self.moved = self._seen = 0
        self._recent = math.inf
        self._all.watch(self)

    async def _wait(self, step: Awaitable[Any]) -> Any:
        self._waiting = True
        try:
            return await step
        except asyncio.CancelledError:
            if self._error is None or (self._task is not None and self._task.uncancel() > 0):
                raise  # somebody else wants it to end
            raise self._error from None
        finally:
            self._waiting = False

    async def _send_slowly(self, body: bytes, *, more: bool) -> None:
        """Send an answer in slices, each when the one before is on its way, until it is read too slowly."""
        self._begin()
        keep_little(self._scope)
        try:
            for at in range(0, len(body), SLICE):
                rest = at + SLICE < len(body) or more
                if self._error is not None:
                    raise self._error
                part = {"type": "http.response.body", "body": body[at : at + SLICE], "more_body": rest}
                await self._wait(self._send(part))
                self.moved += SLICE
        except Exception as error:
            if error is not self._error:
                raise
            cut_off(self._scope)
            await asyncio.sleep(0)  # the server notices
        finally:
            self._all.leave(self)
