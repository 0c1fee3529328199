"""The innermost layer: from a path to the adapter that answers it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route, Router
from starlette.types import Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]


class Routing:
    """Starlette's router, and a shorter way for POST requests to paths without parameters.

    The router takes a twelfth of the gateway's time for a request. Both ways begin behind every other layer, and both leave
    errors to the layers before them, so that no request goes past one.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        """Answer ``routes``; where several match a path, the first one does."""
        self.routes = tuple(routes)
        self._by_path = Router(routes, redirect_slashes=False)
        self._pages = Router(routes)
        self._fixed: dict[str, Endpoint] = {
            route.path: route.endpoint for route in routes if route.methods == {"POST"} and not route.param_convertors
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            HTTPException: no route has this path, or none takes this method.
        """
        if scope["type"] == "http" and scope["method"] == "POST" and (endpoint := self._fixed.get(scope["path"])):
            scope["endpoint"] = endpoint
            response = await endpoint(Request(scope, receive))
            await response(scope, receive, send)
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await self._options(scope, receive, send)
            return
        scope["app"] = self  # without it, the router answers 404 and 405 itself, as plain text
        # Of paths that end in a slash, only those of pages come here with it (`PlainPaths`). A lifespan has no path.
        router = self._pages if scope.get("path", "").endswith("/") else self._by_path
        await router(scope, receive, send)

    async def _options(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say which methods a path takes.

        Raises:
            HTTPException: no route has this path.
        """
        first = next((route.path for route in self.routes if route.matches(scope)[0] != Match.NONE), None)
        if first is None:
            raise HTTPException(404)
        # Later ones that match as well take a longer name than this path's, such as a model's with slashes.
        found = {method for route in self.routes if route.path == first for method in route.methods or ()}
        response = Response(status_code=204, headers={"allow": ", ".join(sorted({*found, "OPTIONS"}))})
        await response(scope, receive, send)
