"""Cancels a request whose client is gone.

Serve does it with two more tasks for every request, a quarter of the gateway's time for one. This watch begins when a
request has been there for a while, which most never are. Until it is there, whoever reads it hears of its end.
"""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive

AFTER_S = 0.1  # requests answered sooner are gone before their client could give up on them


class DisconnectWatch:
    """Cancels the current task when the client disconnects after its body has arrived."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        """Watch the connection that ``receive`` reads."""
        self._receive = receive
        self._request = asyncio.current_task(loop)
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.gone = False

    async def receive(self) -> Message:
        """Read the request; what is read through here tells when its body is complete."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._timer = self._timer or self._loop.call_later(AFTER_S, self._begin)
        return message

    def stop(self) -> None:
        """End the watch, once the request is answered."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._request is not None:
            self._request.cancel()
