"""The gateway's end: one connection to each replica of a version, and which of them takes a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from deployments.contract.embedding import Label
from deployments.rpc.connection import ArtifactGoneError, Connection
from deployments.rpc.pool import Pool
from deployments.rpc.server import Endpoint


class ConnectionPool(Pool[Connection]):
    """A connection to each replica of one version."""

    def __init__(self, version: str) -> None:
        """Have none; ``version`` names them in the log."""
        super().__init__(version, Connection)
        self._asked = 0

    def pick(
        self, replicas: Mapping[str, Endpoint], hash_: str | None = None, besides: Collection[Connection] = ()
    ) -> Connection | None:
        """The connection with the fewest calls under way; of many replicas, of two that are drawn.

        Args:
            replicas: where each replica takes calls; another mapping, or another length, when they are others.
            hash_: of the artifact that a call names, or a label's identity; only replicas come into question that may have it.
            besides: connections whose replicas had the call and did not answer it; they come last.

        Returns:
            None unless every replica is connected: Serve's handle then finds out which of them are alive.

        Raises:
            ArtifactGoneError: every replica is connected, and none has the artifact.
        """
        return self.least_busy(self._with_artifact(self.some(replicas), hash_), besides)

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
