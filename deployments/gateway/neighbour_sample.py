"""Vectors of the same inputs by two versions, from shadowed traffic: a bounded sample of each version that gets copies."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deployments.contract.embedding import Embedding
from deployments.contract.items import Item
from deployments.gateway.cache.key import cache_key

# Different inputs of each version that gets copies. Overlap is then known to 2 or 3 hundredths; two versions of 384 dimensions
# take 0.8 MB in each gateway, and one comparison a tenth of a second of a thread.
INPUTS = 256
AGE_S = 3600.0  # an input that did not come again in an hour makes room: the sample follows the traffic
PER_COPY = 16  # inputs of one request: those of one list are often about one thing
Vector = NDArray[np.float32]
Pair = tuple[str, str, str]  # model, version, other version


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with: by which version and artifact."""

    version: str
    hash: str
    items: list[Item]
    vectors: NDArray[np.float32]  # [n, dimensions]


@dataclass(frozen=True, slots=True)
class Seen:
    """One input as two versions embedded it."""

    at: float  # monotonic seconds
    own: Vector
    other: str  # the version that answered
    answered: Vector


@dataclass(slots=True)
class Reservoir:
    """Different inputs of one version that gets copies: those whose keys are smallest, of the last hour.

    So two versions that get copies of the same requests keep the same inputs, and one that is sent often is kept once.
    """

    seen: dict[bytes, Seen] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)  # of the artifacts, by version
    _last: bytes = b""  # the largest key, once the sample is full

    def require(self, version: str, hash_: str, *, other: str | None = None) -> None:
        """Forget what another artifact computed, of this version or of one that answered."""
        name = version if other is None else other
        if self._hashes.get(name, hash_) != hash_:
            self.seen = {} if other is None else {k: one for k, one in self.seen.items() if one.other != other}
        self._hashes[name] = hash_

    def takes(self, key: bytes) -> bool:
        """Whether an input belongs to the sample."""
        return len(self.seen) < INPUTS or key <= self._last

    def add(self, key: bytes, seen: Seen) -> None:
        """Keep an input; where the sample is full, instead of the one with the largest key."""
        self.seen[key] = seen
        if len(self.seen) > INPUTS:
            del self.seen[max(self.seen)]
        if len(self.seen) == INPUTS:
            self._last = max(self.seen)

    def expire(self, now: float) -> None:
        """Let go what is too old."""
        self.seen = {key: one for key, one in self.seen.items() if now - one.at < AGE_S}


class NeighbourSample:
    """The samples of one gateway."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.changed = False  # since the last ``pairs``
        self._salt = secrets.token_hex(8)
        self._reservoirs: dict[tuple[str, str], Reservoir] = {}  # by model and version that gets copies

    def add(
        self, model: str, candidate: str, answer: Answer, copies: Mapping[int, Embedding], now: float
    ) -> None:  # by index of the item
        """Take inputs that a version embedded for nobody, with what their request was answered with."""
        reservoir = self._reservoirs.setdefault((model, candidate), Reservoir())
        reservoir.require(candidate, answer.hash, other=answer.version)
        for index, copy in copies.items():
            reservoir.require(candidate, copy.label.hash)
            key = cache_key(self._salt, answer.items[index])
            if reservoir.takes(key):
                own, answered = np.array(copy.vector), np.array(answer.vectors[index])  # not views of whole batches
                reservoir.add(key, Seen(now, own, answer.version, answered))
                self.changed = True

    def keep(self, references: Iterable[str]) -> None:
        """Forget versions that are no longer served, by ``name@version``."""
        served = set(references)
        self._reservoirs = {key: one for key, one in self._reservoirs.items() if "@".join(key) in served}

    def pairs(self, now: float) -> dict[Pair, tuple[list[Vector], list[Vector]]]:
        """For two versions each, their vectors of the same inputs."""
        self.changed = False
        for reservoir in self._reservoirs.values():
            reservoir.expire(now)
        found: dict[Pair, tuple[list[Vector], list[Vector]]] = {}
        for pair, own, other in (*self._with_answers(), *self._among_copies()):
            ours, theirs = found.setdefault(pair, ([], []))
            ours.append(own)
            theirs.append(other)
        return found

    def _with_answers(self) -> Iterator[tuple[Pair, Vector, Vector]]:
        for (model, candidate), reservoir in self._reservoirs.items():
            for seen in reservoir.seen.values():
                yield (model, candidate, seen.other), seen.own, seen.answered

    def _among_copies(self) -> Iterator[tuple[Pair, Vector, Vector]]:
        for (model, first), one in self._reservoirs.items():
            for (same, second), other in self._reservoirs.items():
                if model == same and first < second:
                    for key in one.seen.keys() & other.seen.keys():
                        yield (model, first, second), one.seen[key].own, other.seen[key].own
