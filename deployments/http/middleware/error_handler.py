"""The layer that answers exceptions, so that the layers behind it need only raise them."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.http.errors import respond


class ErrorHandler:
    """Turns every exception of the layers behind it into an answer of the one shape that errors have."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. No answer of ours is streamed: what fails, fails before its answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # whatever it is, the caller gets an answer
            await respond(error, scope)(scope, receive, send)
