"""The layer that refuses what is too much or too slow."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.contract.paths import takes_vectors
from deployments.http.places import UNREAD, Places
from deployments.http.transfer import TRANSFER, Transfer
from deployments.http.transfers import Transfers


class Admission:
    """Keeps the number of requests for vectors that are worked on at once in this gateway below a limit.

    Queues are bounded by version and by inputs, but to know those a request must be read, parsed and looked up. At several
    times the load that the service can bear, a gateway would do nothing else: health checks would go unanswered, and HAProxy
    would take the gateway for dead. At 3,600 requests/s on 2 cores, half of the answers were HAProxy's 500.

    A request takes its place when it has arrived whole and leaves it when its answer is made: who sends or reads slowly
    holds none. What they hold instead, bytes and time, ``transfers`` bounds.
    """

    def __init__(self, app: ASGIApp, places: Places, transfers: Transfers) -> None:
        """Wrap ``app``."""
        self._app = app
        self._places = places
        self._transfers = transfers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on.

        Raises:
            UnavailableError: as many are open as may be.
        """
        if scope["type"] != "http" or not takes_vectors(scope["path"]):
            await self._app(scope, receive, send)
            return
        self._places.heed(scope["headers"])
        self._places.require()
        scope[TRANSFER] = transfer = Transfer(self._transfers, self._places, scope, receive, send)
        if scope["method"] != "POST":
            transfer.arrived()
        try:
            await self._app(scope, transfer.receive, transfer.send)
        except Exception:
            scope[UNREAD] = transfer.begun and not transfer.whole
            raise
        finally:
            del scope[TRANSFER]  # each would keep the other, for the collector of cycles: a tenth of the gateway's time
            transfer.end()
