"""The way of a request for vectors around Serve's own handling of requests.

That handling is a third of the gateway's time: a cached request takes 251 µs of processor time with it and 161 µs without.
What it does is done elsewhere: the gateway bounds its own queues, counts its own requests and reports its own load, and a
replica that drains lets the requests on its connections finish before it goes.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Scope, Send

from deployments.contract.paths import takes_vectors
from deployments.observability import request_id
from deployments.serve_internals.seams import SEAMS
from deployments.serve_internals.single_write import Gathering, gather


class Shortcut:
    """Where the gateway of this process leaves its application for the hook to find."""

    def __init__(self) -> None:
        """Know of none: every request goes through Serve's handling."""
        self._app: ASGIApp | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, app: ASGIApp) -> None:
        """Hand requests for vectors to ``app``, whose futures belong to the running event loop."""
        self._app, self._loop = app, asyncio.get_running_loop()

    def close(self) -> None:
        """Let every request go through Serve's handling again."""
        self._app = self._loop = None

    def app_for(self, path: str, loop: asyncio.AbstractEventLoop) -> ASGIApp | None:
        """The application, for requests that may go there directly from the event loop that they are in."""
        return self._app if self._loop is loop and takes_vectors(path) else None


SHORTCUT = Shortcut()


def identified(scope: Scope, send: Send) -> Send:
    """Name the request in its scope and in its answer, as Serve does, and let the answer leave in one write."""
    given = next((value for name, value in scope["headers"] if name == request_id.HEADER), None)
    identifier = given or request_id.random_id()
    if given is None:
        scope["headers"].append((request_id.HEADER, identifier))
    gathering: Gathering | None = None

    async def send_identified(message: Message) -> None:
        nonlocal gathering
        if message["type"] == "http.response.start":
            message["headers"].append((request_id.HEADER, identifier))
            gathering = gather(send) if SEAMS.on("single_write") else None
            await send(message)
            return
        await send(message)
        if gathering is not None:
            gathering.flush()

    return send_identified
