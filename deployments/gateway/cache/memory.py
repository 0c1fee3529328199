"""Vectors already computed, bounded by bytes, named by the artifact that computed them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from deployments.contract.types import Item

OVERHEAD = 300  # bytes of bookkeeping per entry: key, dictionary slot, array header


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached vector, the tokens its input had, and whether the weights behind it were random."""

    vector: NDArray[np.float32]
    tokens: int
    synthetic: bool = False


class MemoryCache:
    """Least-recently-used vectors. A key holds the artifact's hash, so that a model change never meets an old vector."""

    def __init__(self, limit_bytes: int) -> None:
        """Build an empty cache; a limit of 0 keeps it empty."""
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        """Number of vectors held."""
        return len(self._entries)

    def get(self, key: bytes) -> Entry | None:
        """The entry of a key, which becomes the last to be evicted."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep a copy of an entry, evicting what was unused longest."""
        size = entry.vector.nbytes + OVERHEAD
        if size > self.limit_bytes or key in self._entries:
            return
        # A row of a batch would keep the whole batch alive.
        self._entries[key] = Entry(entry.vector.copy(), entry.tokens, entry.synthetic)
        self.used_bytes += size
        self.trim()

    def trim(self) -> None:
        """Evict until the limit holds."""
        while self.used_bytes > self.limit_bytes:
            _, entry = self._entries.popitem(last=False)
            self.used_bytes -= entry.vector.nbytes + OVERHEAD


def cache_key(artifact_hash: str, item: Item) -> bytes:
    """Key of an input under an artifact, 32 bytes; text, token ids and image bytes never meet."""
    digest = blake2b(artifact_hash.encode(), digest_size=32)
    if isinstance(item, str):
        digest.update(b"t" + item.encode("utf-8", "surrogatepass"))
    elif isinstance(item, bytes):
        digest.update(b"i" + item)
    else:
        digest.update(b"n" + ",".join(map(str, item)).encode())
    return digest.digest()
