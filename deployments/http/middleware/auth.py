"""The layer that asks for API keys."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.auth.authenticator import Authenticator, Needed
from deployments.http.console.routes import PATHS as CONSOLE

CLIENT = "embedserve.client"  # where the name of a request's key stands in its scope
# Health is for probes, which have no keys. The description and the console's files tell nothing that the project's
# repository does not; what the console shows it asks for with a key.
PROBED = frozenset(
    {
        "/health/live",
        "/health/ready",
        "/v2/health/live",
        "/v2/health/ready",
        "/.well-known/live",
        "/.well-known/ready",
    }
)
OPEN = PROBED | {"/docs", "/openapi.json"} | CONSOLE
ADMIN = frozenset({"/metrics"})  # load, errors and addresses of every node
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def needed(method: str, path: str) -> Needed | None:
    """What a key must allow for a request; None for the open routes. Unknown paths need a key as well."""
    if path in OPEN:
        return None
    if path in ADMIN:
        return "admin"
    return "any" if method in READING else "embed"


def values_of(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """What a request says of its key: in ``authorization``, or in ``api-key`` as Azure's clients do."""
    values = [value.decode("latin-1") for name, value in headers if name == b"authorization"]
    return values + [f"Bearer {value.decode('latin-1')}" for name, value in headers if name == b"api-key"]


class Authentication:
    """Asks for a key where one is needed, before a byte of the body is read."""

    def __init__(self, app: ASGIApp, auth: Authenticator) -> None:
        """Wrap ``app``; ``auth`` holds the keys."""
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with the name of its key in the scope.

        Raises:
            AuthenticationError: a key is needed and none was sent.
            ForbiddenError: the key is unknown or expired, or lacks the scope.
        """
        if scope["type"] != "lifespan" and self._auth.required:
            wanted = needed(scope.get("method", "GET"), scope["path"].removeprefix(scope.get("root_path", "")))
            if wanted is not None:
                scope[CLIENT] = self._auth.authenticate(values_of(scope["headers"]), wanted)
        await self._app(scope, receive, send)
