"""Vectors already computed, in this gateway's memory and bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict

from deployments.contract.embedding import Embedding, Label

OVERHEAD = 300  # bytes of bookkeeping per vector: key, dictionary slot, array header


class MemoryCache:
    """Least-recently-used vectors. A key holds the artifact's hash, so that a new artifact never finds an old vector."""

    def __init__(self, limit_bytes: int) -> None:
        """Build an empty cache; a limit of 0 keeps it empty."""
        self._limit_bytes = limit_bytes
        self._used_bytes = 0
        self._embeddings: OrderedDict[bytes, Embedding] = OrderedDict()
        self._labels: dict[Label, Label] = {}  # one object for all vectors of an artifact

    def __len__(self) -> int:
        """Number of vectors held."""
        return len(self._embeddings)

    @property
    def used_bytes(self) -> int:
        """Bytes of the vectors held and of their bookkeeping."""
        return self._used_bytes

    @property
    def limit_bytes(self) -> int:
        """What ``used_bytes`` never exceeds."""
        return self._limit_bytes

    def resize(self, limit_bytes: int) -> None:
        """Set another limit, and evict until it holds."""
        self._limit_bytes = limit_bytes
        self._trim()

    def get(self, key: bytes) -> Embedding | None:
        """The embedding of a key, which becomes the last to be evicted."""
        embedding = self._embeddings.get(key)
        if embedding is not None:
            self._embeddings.move_to_end(key)
        return embedding

    def put(self, key: bytes, embedding: Embedding) -> None:
        """Keep a copy of an embedding, evicting what was unused longest."""
        size = embedding.vector.nbytes + OVERHEAD
        if size > self._limit_bytes or key in self._embeddings:
            return
        label = self._labels.setdefault(embedding.label, embedding.label)
        # A row of a batch would keep the whole batch alive.
        self._embeddings[key] = Embedding(embedding.vector.copy(), embedding.tokens, label, embedding.cut)
        self._used_bytes += size
        self._trim()

    def _trim(self) -> None:
        while self._used_bytes > self._limit_bytes:
            _, embedding = self._embeddings.popitem(last=False)
            self._used_bytes -= embedding.vector.nbytes + OVERHEAD
