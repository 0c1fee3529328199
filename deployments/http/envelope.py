"""The outermost layer around every request on a replica's port, also outside Serve's own handling.

Serve loads it through ``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH``; it makes Serve's answers follow the contract.
"""

from __future__ import annotations

import re

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

REQUEST_ID = re.compile(rb"^[A-Za-z0-9._:@/+=-]{1,128}$")


class Envelope:
    """Keeps valid request ids only, and takes deadlines into the gateway, which answers 504 where Serve would 408."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the request's headers where the contract asks for it."""
        if scope["type"] == "http":
            scope["headers"] = [kept for name, value in scope["headers"] if (kept := _header(name, value)) is not None]
        await self._app(scope, receive, send)


def _header(name: bytes, value: bytes) -> tuple[bytes, bytes] | None:
    if name == b"x-request-id":
        return (name, value) if REQUEST_ID.match(value) else None
    if name == b"x-request-timeout-seconds":
        return b"x-embedserve-timeout-seconds", value
    return name, value


def middlewares() -> list[Middleware]:
    """What Serve asks for when a replica starts its server."""
    return [Middleware(Envelope)]
