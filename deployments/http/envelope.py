"""The outermost layer around every request on a replica's port, also outside Serve's own handling.

Serve loads it through ``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH``; it makes Serve's answers follow the contract.
"""

from __future__ import annotations

import asyncio
import re

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = re.compile(rb"^[A-Za-z0-9._:@/+=-]{1,128}$")
# Serve would watch every request for a disconnect with two tasks more, a quarter of the gateway's time for a request.
UNWATCHED = (b"x-request-disconnect-disabled", b"?1")
WATCH_AFTER_S = 0.1  # requests answered sooner are gone before their client could give up on them


class Envelope:
    """Keeps valid request ids only, takes deadlines into the gateway, and cancels what nobody waits for any more."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the request's headers where the contract asks for it, and watch it when it takes long."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [kept for name, value in scope["headers"] if (kept := _header(name, value)) is not None]
        scope["headers"] = [*headers, UNWATCHED]
        watch = _Watch(receive)
        try:
            await self._app(scope, watch.receive, send)
        except asyncio.CancelledError:
            if not watch.gone:
                raise
        finally:
            watch.stop()


class _Watch:
    """Cancels the current task when the client disconnects after its body has arrived."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._request = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._complete = False
        self._timer = self._loop.call_later(WATCH_AFTER_S, self._begin)
        self._task: asyncio.Task[None] | None = None
        self.gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._complete = True
        return message

    def _begin(self) -> None:
        if self._complete:
            self._task = self._loop.create_task(self._wait())
        else:
            self._timer = self._loop.call_later(WATCH_AFTER_S, self._begin)

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._request is not None:
            self._request.cancel()

    def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


def _header(name: bytes, value: bytes) -> tuple[bytes, bytes] | None:
    if name == b"x-request-id":
        return (name, value) if REQUEST_ID.match(value) else None
    if name == b"x-request-timeout-seconds":
        return b"x-embedserve-timeout-seconds", value
    return None if name == UNWATCHED[0] else (name, value)


def middlewares() -> list[Middleware]:
    """What Serve asks for when a replica starts its server."""
    return [Middleware(Envelope)]
