"""The layer that refuses what is too much before a byte of it is read."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.contract.paths import VECTOR_PATHS
from models.errors import UnavailableError


class Admission:
    """Keeps the number of requests for vectors that are open at once in this gateway below a limit.

    Queues are bounded by version and by inputs, but to know those a request must be read, parsed and looked up. At several
    times the load that the service can bear, a gateway would do nothing else: health checks would go unanswered, and HAProxy
    would take the gateway for dead. At 3,600 requests/s on 2 cores, half of the answers were HAProxy's 500.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[], int]) -> None:
        """Wrap ``app``; ``limit`` gives the number of open requests that is allowed right now."""
        self._app = app
        self._limit = limit
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            UnavailableError: as many are open as may be.
        """
        if scope["type"] != "http" or not scope["path"].startswith(VECTOR_PATHS):
            await self._app(scope, receive, send)
            return
        if self._open >= (limit := self._limit()):
            raise UnavailableError(f"the service is at capacity: {self._open} requests are open (limit {limit})")
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
