"""The outermost layer around every request on a replica's port, also outside Serve's own handling.

Serve loads it by the path in ``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH``. It makes answers follow the contract where
Serve's own would not: an invalid request id is replaced, and a deadline that passes gives 504 in our shape, not Serve's
408. Without it the shortcut is never taken.
"""

from __future__ import annotations

import asyncio

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.observability import request_id
from deployments.serve_internals import cut_off, http_shortcut, slow_heads
from deployments.serve_internals.disconnect_watch import Arrivals, DisconnectWatch
from deployments.serve_internals.seams import SEAMS

UNWATCHED = (b"x-request-disconnect-disabled", b"?1")  # asks Serve not to watch for disconnects: DisconnectWatch does
TIMEOUT_HEADER = b"x-request-timeout-seconds"
TAKEN = frozenset({request_id.HEADER, TIMEOUT_HEADER, UNWATCHED[0]})  # that are looked at here
OUR_TIMEOUT_HEADER = b"x-embedserve-timeout-seconds"  # what Serve does not know it leaves to the gateway


class Envelope:
    """Keeps valid request ids only, takes deadlines into the gateway, and cancels what nobody waits for any more."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app
        self._arrivals: Arrivals | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the request's headers where the contract asks for it, and watch it when it takes long."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        SEAMS.uses["http_hook"] += 1
        headers = scope["headers"]
        if not TAKEN.isdisjoint([name for name, _ in headers]):
            headers = [kept for name, value in headers if (kept := _header(name, value)) is not None]
        scope["headers"] = [*headers, UNWATCHED]
        loop = asyncio.get_running_loop()
        direct = http_shortcut.SHORTCUT.app_for(scope["path"], loop)
        watch = DisconnectWatch(receive, self._arrivals_on(loop))
        try:
            if direct is None:
                await self._app(scope, watch.receive, send)
            else:
                SEAMS.uses["http_shortcut"] += 1
                # never in a scope that Serve's proxies send to a replica: it cannot be pickled
                cut_off.note(scope, send)
                await direct(scope, watch.receive, http_shortcut.identified(scope, send))
        except asyncio.CancelledError:
            if not watch.gone:
                raise
        finally:
            watch.stop()
            cut_off.forget(scope)

    def _arrivals_on(self, loop: asyncio.AbstractEventLoop) -> Arrivals:
        if self._arrivals is None or self._arrivals.loop is not loop:
            self._arrivals = Arrivals(loop)
        return self._arrivals


def _header(name: bytes, value: bytes) -> tuple[bytes, bytes] | None:
    """A header as the gateway gets it, or None for one that it must not get."""
    if name == request_id.HEADER:
        return (name, value) if request_id.VALID.match(value) else None
    if name == TIMEOUT_HEADER:
        return OUR_TIMEOUT_HEADER, value
    return None if name == UNWATCHED[0] else (name, value)


def middlewares() -> list[Middleware]:
    """What Serve asks for when a replica starts its server; nothing while the seam is off."""
    if not SEAMS.on("http_hook"):
        return []
    SEAMS.start("http_hook")
    if SEAMS.on("slow_heads"):
        slow_heads.install()
    return [Middleware(Envelope)]
