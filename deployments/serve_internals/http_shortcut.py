"""The outermost layer around every request on a replica's port, also outside Serve's own handling.

Serve loads it through ``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH``; it makes Serve's answers follow the contract, and hands
requests for vectors to the gateway's application without Serve's handling in between, a third of the
gateway's time (cached requests: 251 µs of processor time each, without it 161). What Serve would do for them is done elsewhere: the gateway bounds its own queues, counts its own
requests and reports its own load; a replica that drains lets the requests on its connections finish before it goes.
"""

from __future__ import annotations

import asyncio

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.observability.request_id import HEADER as ID_HEADER
from deployments.observability.request_id import VALID, random_id
from deployments.serve_internals.single_write import Gathering, gather

# Serve would watch every request for a disconnect with two tasks more, a quarter of the gateway's time for a request.
UNWATCHED = (b"x-request-disconnect-disabled", b"?1")
DIRECT = ("/v1/embeddings", "/v2/models/")  # where requests for vectors go
WATCH_AFTER_S = 0.1  # requests answered sooner are gone before their client could give up on them


class Shortcut:
    """Where the gateway of this process leaves its application for the envelope to find."""

    def __init__(self) -> None:
        """Know of none: every request goes through Serve's handling."""
        self._app: ASGIApp | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self, app: ASGIApp) -> None:
        """Hand requests for vectors to ``app``, whose futures belong to the running event loop."""
        self._app, self._loop = app, asyncio.get_running_loop()

    def app_for(self, path: str, loop: asyncio.AbstractEventLoop) -> ASGIApp | None:
        """The application, for requests that may go there directly from the event loop that they are in."""
        return self._app if self._loop is loop and path.startswith(DIRECT) else None


SHORTCUT = Shortcut()


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
        loop = asyncio.get_running_loop()
        direct = SHORTCUT.app_for(scope["path"], loop)
        watch = _Watch(receive, loop)
        try:
            if direct is None:
                await self._app(scope, watch.receive, send)
            else:
                await direct(scope, watch.receive, _identified(scope, send))
        except asyncio.CancelledError:
            if not watch.gone:
                raise
        finally:
            watch.stop()


def _identified(scope: Scope, send: Send) -> Send:
    """Name the request in its scope and in its answer, as Serve does, and let the answer leave as one."""
    given = next((value for name, value in scope["headers"] if name == ID_HEADER), None)
    identifier = given or random_id()
    if given is None:
        scope["headers"].append((ID_HEADER, identifier))

    gathering: Gathering | None = None

    async def identified(message: Message) -> None:
        nonlocal gathering
        if message["type"] == "http.response.start":
            message["headers"].append((ID_HEADER, identifier))
            gathering = gather(send)
            await send(message)
            return
        await send(message)
        if gathering is not None:
            gathering.flush()

    return identified


class _Watch:
    """Cancels the current task when the client disconnects after its body has arrived."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._request = asyncio.current_task(loop)
        self._loop = loop
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
    if name == ID_HEADER:
        return (name, value) if VALID.match(value) else None
    if name == b"x-request-timeout-seconds":
        return b"x-embedserve-timeout-seconds", value
    return None if name == UNWATCHED[0] else (name, value)


def middlewares() -> list[Middleware]:
    """What Serve asks for when a replica starts its server."""
    return [Middleware(Envelope)]
