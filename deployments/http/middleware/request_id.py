"""The layer that names a request where nobody outside did."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.observability.request_id import HEADER, random_id

REQUEST_ID = "embedserve.request_id"  # where the name of a request stands in its scope


class RequestId:
    """Sees to it that every request carries ``x-request-id``, and every answer the same.

    Serve, or the shortcut past it, names requests before they come here and puts the name into their answers. A request that
    arrives without a name has met neither of them: it gets both here.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on under its name."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == HEADER:
                scope[REQUEST_ID] = value
                await self._app(scope, receive, send)
                return
        identifier = scope[REQUEST_ID] = random_id()
        header = (HEADER, identifier)
        scope["headers"] = [*scope["headers"], header]

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], header]
            await send(message)

        await self._app(scope, receive, named)
