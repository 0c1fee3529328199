"""The layer for which a slash at the end of a path means nothing."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

PAGES = frozenset({"/console", "/docs"})  # their links are relative: browsers are sent to the plain path


class PlainPaths:
    """Takes slashes off the end of paths, before anybody decides by one: who may ask, what is admitted, what is routed."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap ``app``."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and (path := scope["path"]).endswith("/") and len(path) > 1:
            plain = path.rstrip("/") or "/"
            scope["path"] = path if plain in PAGES else plain
        await self._app(scope, receive, send)
