"""What every request and every answer of the gateway passes: API keys, and the headers that browsers heed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from deployments.auth.authenticator import Authenticator, Needed
from deployments.http.errors import on_http_error, respond
from models.errors import EmbedserveError

Endpoint = Callable[[Request], Awaitable[Response]]
CLIENT = "embedserve.client"  # where the name of a request's key stands in its scope
# Health is for probes, which have no keys. The description tells nothing that the project's repository does not.
OPEN = frozenset(
    {"/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"},
)
ADMIN = frozenset({"/metrics"})  # load, errors and addresses of every node
READING = frozenset({"GET", "HEAD"})
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),  # vectors are their owner's; no cache on the way may keep them
    (b"referrer-policy", b"no-referrer"),
)


def needed(method: str, path: str) -> Needed | None:
    """What a key must allow for a request; nothing for the open routes, and a key for every path that is not known."""
    if path in OPEN:
        return None
    if path in ADMIN:
        return "admin"
    return "any" if method in READING else "embed"


class Guarded(Starlette):
    """An application behind the guard."""

    def __init__(self, auth: Authenticator, **settings: Any) -> None:
        """Build a Starlette application whose every route asks ``auth``.

        POST to routes of fixed paths takes none of Starlette's routing and middleware, a twelfth of the gateway's time for a
        request for vectors.
        """
        super().__init__(**settings)
        self._auth = auth
        routes = [route for route in self.routes if isinstance(route, Route) and not route.param_convertors]
        self._direct: dict[str, Endpoint] = {r.path: r.endpoint for r in routes if r.methods == {"POST"}}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask for a key where one is needed, before a byte of the body is read."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                missing = [header for header in SECURITY_HEADERS if header[0] not in present]
                message["headers"] = [*message["headers"], *missing]
            await send(message)

        if self._auth.required:
            wanted = needed(scope["method"], scope["path"].removeprefix(scope.get("root_path", "")))
            if wanted is not None:
                values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
                try:
                    scope[CLIENT] = self._auth.authenticate(values, wanted)
                except EmbedserveError as error:
                    await respond(error)(scope, receive, hardened)
                    return
        endpoint = self._direct.get(scope["path"]) if scope["method"] == "POST" else None
        if endpoint is None:
            await super().__call__(scope, receive, hardened)
        else:
            await _answer(endpoint, scope, receive, hardened)


async def _answer(endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    """What Starlette does for a route, with the handlers that ``build`` gives it."""
    scope["endpoint"] = endpoint
    request = Request(scope, receive)
    try:
        response = await endpoint(request)
    except HTTPException as error:
        response = await on_http_error(request, error)
    except Exception as error:  # whatever it is, the caller gets an answer
        response = respond(error)
    await response(scope, receive, send)
