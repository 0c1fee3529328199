"""The gateway's end: one connection to each replica of a version, and which of them takes a call."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping

from deployments.contract.embedding import Label
from deployments.observability.logging import logger
from deployments.rpc.codec import FORMAT
from deployments.rpc.connection import ArtifactGoneError, Connection
from deployments.rpc.server import Endpoint

CONNECT_TIMEOUT_S = 2.0
COMPARED = 8  # connections compared for a call; of more replicas two are drawn, so that 64 make no call dearer
REST_S = 5.0  # between two attempts to connect to a replica; calls go through Serve's handle meanwhile


class ConnectionPool:
    """A connection to each replica of one version."""

    def __init__(self, version: str) -> None:
        """Have none; ``version`` names them in the log."""
        self._version = version
        self._replicas: Mapping[str, Endpoint] = {}
        self._ready: list[Connection] = []  # to each of the replicas; empty while one is missing
        self._turn = 0
        self._asked = 0
        self._open: dict[str, Connection] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}

    def pick(self, replicas: Mapping[str, Endpoint], hash_: str | None = None) -> Connection | None:
        """The connection with the fewest calls under way; of many replicas, of two that are drawn.

        Args:
            replicas: where each replica takes calls; another mapping, or another length, when they are others.
            hash_: of the artifact that a call names, or a label's identity; only replicas come into question that may have it.

        Returns:
            None unless every replica is connected: Serve's handle then finds out which of them are alive.

        Raises:
            ArtifactGoneError: every replica is connected, and none has the artifact.
        """
        if self._ready and replicas is self._replicas and len(replicas) == len(self._ready):
            some = self._ready if len(self._ready) <= COMPARED else random.choices(self._ready, k=2)
            if all(connection.alive for connection in some):
                return self._least_busy(self._with_artifact(some, hash_))
        self._ready = self._connected_to(replicas)
        return self._least_busy(self._with_artifact(self._ready, hash_))

    def _with_artifact(self, some: list[Connection], hash_: str | None) -> list[Connection]:
        """Those of some connections, or else of all, whose replicas have an artifact as far as is known."""
        if hash_ is None:
            return some
        found = [one for one in some if one.label is None or one.label.answers(hash_)]
        if not found:
            found = [one for one in self._alive() if one.label is None or one.label.answers(hash_)]
        if not found and (there := self.leading_label()) is not None:
            raise ArtifactGoneError(there)
        return found

    def _least_busy(self, some: list[Connection]) -> Connection | None:
        """Of several with equally few calls another one each time: a call that one refused must not go there again."""
        if not some:
            return None
        self._turn = (self._turn + 1) % len(some)
        return min(some[self._turn :] + some[: self._turn], key=_under_way)

    def next_asked(self) -> Connection | None:
        """A connection to ask what its replica serves: each in its turn; None without any."""
        alive = self._alive()
        self._asked += 1
        return alive[self._asked % len(alive)] if alive else None

    def leading_label(self, *, besides: str | None = None) -> Label | None:
        """The label of the artifact that the version has as a whole: all gateways that see its replicas say the same.

        While replicas disagree, it is the artifact that most of them have, so that half the capacity remains at least. Of
        two that equally many have, it is the one that nobody was asked to leave.

        Args:
            besides: a hash, or a label's identity, that is out of the question.
        """
        alive = self._alive()
        counts = Counter(one.label for one in alive if one.label is not None and not one.label.answers(besides))
        left = {one.label for one in alive if one.swap_error is not None}
        return max(counts, key=lambda label: (counts[label], label not in left, label.identity), default=None)

    def doubtful(self) -> list[Connection]:
        """Connections whose replicas do not have the leading artifact, or refused to leave it."""
        leading = self.leading_label()
        return [one for one in self._alive() if one.label != leading or one.swap_error is not None]

    def _alive(self) -> list[Connection]:
        return [connection for connection in self._ready if connection.alive]

    def _connected_to(self, replicas: Mapping[str, Endpoint]) -> list[Connection]:
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
        connecting = asyncio.get_running_loop().create_connection(Connection, endpoint["host"], endpoint["port"])
        try:
            _, connection = await asyncio.wait_for(connecting, CONNECT_TIMEOUT_S)
        except OSError as error:  # TimeoutError is one
            logger.warning("%s of %s takes no connection: %r", name, self._version, error)
        else:
            connection.send(0, bytes.fromhex(endpoint["secret"]))
            if name in self._replicas:
                self._open[name] = connection
            else:
                connection.close()
        await asyncio.sleep(REST_S)


def _under_way(connection: Connection) -> int:
    return connection.under_way
