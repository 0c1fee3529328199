"""The layer that refuses what is too much before a byte of it is read."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.http.errors import respond
from deployments.http.middleware.auth import SECURITY_HEADERS
from deployments.observability.metrics import GatewayMetrics
from deployments.serve_internals.http_shortcut import DIRECT
from models.errors import UnavailableError

ANY = ("*", "*")  # model and version of a request that was not read


class Admission:
    """Keeps the number of requests for vectors that are open at once in this gateway below a limit.

    Queues are bounded by version and by inputs, which takes reading, parsing and looking up. At several times the load
    that the service can bear, that would be all it does, health checks would go unanswered, and HAProxy would take the
    gateway for dead: at 3,600 requests/s on 2 cores half of the answers were its 500.
    """

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        """Wrap ``app``; ``limit`` is set before the first request."""
        self._app = app
        self._metrics = metrics
        self._open = 0
        self.limit = 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 503."""
        if scope["type"] != "http" or not scope["path"].startswith(DIRECT):
            await self._app(scope, receive, send)
            return
        if self._open >= self.limit:
            self._metrics.requests.add((*ANY, "503"))
            self._metrics.shed.add((*ANY, "capacity"))
            error = UnavailableError(f"the service is at capacity: {self._open} requests are open (limit {self.limit})")
            response = respond(error)
            response.raw_headers.extend(SECURITY_HEADERS)
            await response(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
