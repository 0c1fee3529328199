"""Cancels a request whose client is gone.

Serve does it with two more tasks for every request, a quarter of the gateway's time for one. This watch begins when a
request has been there for a while, which most never are. Until it is there, whoever reads it hears of its end.
"""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

LOOK_S = 0.1  # requests answered sooner are gone before their client could give up on them


class Arrivals:
    """Requests that arrived on one event loop. One timer looks after all of them: one for each costs a request 4 µs."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Know of none."""
        self.loop = loop
        self._new: dict[DisconnectWatch, None] = {}  # since the last look
        self._seen: dict[DisconnectWatch, None] = {}  # by it
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watch: DisconnectWatch) -> None:
        """Begin a watch at the second look from now, unless it is discarded before."""
        self._new[watch] = None
        if self._timer is None:
            self._timer = self.loop.call_later(LOOK_S, self._look)

    def discard(self, watch: DisconnectWatch) -> None:
        """Forget one."""
        self._new.pop(watch, None)
        self._seen.pop(watch, None)

    def _look(self) -> None:
        for watch in self._seen:
            watch.begin()
        self._seen, self._new = self._new, {}
        self._timer = self.loop.call_later(LOOK_S, self._look) if self._seen else None


class DisconnectWatch:
    """Cancels the current task when the client disconnects after its body has arrived."""

    def __init__(self, receive: Receive, arrivals: Arrivals) -> None:
        """Watch the connection that ``receive`` reads."""
        self._receive = receive
        self._arrivals = arrivals
        self._request = asyncio.current_task(arrivals.loop)
        self._task: asyncio.Task[None] | None = None
        self._arrived = False
        self.gone = False

    async def receive(self) -> Message:
        """Read the request; what is read through here tells when its body is complete."""
        message = await self._receive()
        if not self._arrived and message["type"] == "http.request" and not message.get("more_body", False):
            self._arrived = True
            self._arrivals.add(self)
        return message

    def stop(self) -> None:
        """End the watch, once the request is answered."""
        if self._arrived:
            self._arrivals.discard(self)
        if self._task is not None:
            self._task.cancel()

    def begin(self) -> None:
        """Wait for the client's end from now on."""
        self._task = self._arrivals.loop.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._request is not None:
            self._request.cancel()
