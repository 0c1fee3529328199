"""One connection to each replica of a deployment, and which of them takes a call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from typing import Generic, TypeVar

from deployments.observability.logging import logger
from deployments.rpc.calls import Calls
from deployments.rpc.codec import FORMAT
from deployments.rpc.server import Endpoint

CONNECT_TIMEOUT_S = 2.0
COMPARED = 8  # connections compared for a call; of more replicas two are drawn, so that 64 make no call dearer
REST_S = 5.0  # between two attempts to connect to a replica; calls go through Serve's handle meanwhile


C = TypeVar("C", bound=Calls)


class Pool(Generic[C]):
    """A connection to each of some replicas."""

    def __init__(self, whose: str, make: Callable[[], C]) -> None:
        """Have none; ``whose`` replicas they are stands in the log, and ``make`` makes one that is not connected."""
        self._whose, self._make = whose, make
        self._replicas: Mapping[str, Endpoint] = {}
        self._ready: list[C] = []  # to each of the replicas; empty while one is missing
        self._turn = 0
        self._open: dict[str, C] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}

    def some(self, replicas: Mapping[str, Endpoint]) -> list[C]:
        """The connections among which one is chosen for a call: all, or of many two that are drawn.

        Args:
            replicas: where each replica takes calls; another mapping, or another length, when they are others.

        Returns:
            None of them unless every replica is connected: Serve's handle then finds out which of them are alive.
        """
        if self._ready and replicas is self._replicas and len(replicas) == len(self._ready):
            some = self._ready if len(self._ready) <= COMPARED else random.choices(self._ready, k=2)
            if all(connection.alive for connection in some):
                return some
        self._ready = self._connected_to(replicas)
        return self._ready

    @property
    def idle(self) -> int:
        """How many replicas have no call under way from here."""
        return sum(connection.under_way == 0 for connection in self._ready)

    def least_busy(self, some: list[C], besides: Collection[C] = ()) -> C | None:
        """The one with the fewest calls under way; of several with equally few another one each time.

        Args:
            some: to choose from.
            besides: those that had the call and did not answer it. A replica that fails has the fewest calls of all.
        """
        if besides and (others := [one for one in some if one not in besides]):
            some = others
        if not some:
            return None
        self._turn = (self._turn + 1) % len(some)
        return min(some[self._turn :] + some[: self._turn], key=_under_way)

    def _alive(self) -> list[C]:
        return [connection for connection in self._ready if connection.alive]

    def _connected_to(self, replicas: Mapping[str, Endpoint]) -> list[C]:
        """The connections to all of them; those that are missing begin, and there is none until they are there."""
        self._replicas = replicas
        for gone in self._open.keys() - replicas.keys():
            self._open.pop(gone).retire()
        found = []
        for name, endpoint in replicas.items():
            connection = self._open.get(name)
            if connection is None or not connection.alive:
                self._connect(name, endpoint)
            else:
                found.append(connection)
        return found if len(found) == len(replicas) else []

    def _connect(self, name: str, endpoint: Endpoint) -> None:
        if name not in self._opening and endpoint["format"] == FORMAT:
            self._opening[name] = task = asyncio.ensure_future(self._connected(name, endpoint))
            task.add_done_callback(lambda _: self._opening.pop(name, None))

    async def _connected(self, name: str, endpoint: Endpoint) -> None:
        connecting = asyncio.get_running_loop().create_connection(self._make, endpoint["host"], endpoint["port"])
        try:
            _, connection = await asyncio.wait_for(connecting, CONNECT_TIMEOUT_S)
        except OSError as error:  # TimeoutError is one
            logger.warning("%s of %s takes no connection: %r", name, self._whose, error)
        else:
            connection.send(0, bytes.fromhex(endpoint["secret"]))
            if name in self._replicas:
                self._open[name] = connection
            else:
                connection.close()
        await asyncio.sleep(REST_S)


def _under_way(connection: Calls) -> int:
    return connection.under_way
