"""The layer that answers exceptions, so that layers further in just raise."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.http.errors import respond


class ErrorHandler:
    """Turns whatever is raised further in into an answer of the one error shape."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. No answer of ours is streamed, so what fails has not begun its answer yet."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # whatever it is, the caller gets an answer
            await respond(error, scope)(scope, receive, send)
