"""The shared level as the gateway uses it."""

from __future__ import annotations

from collections.abc import Sequence

from deployments.config.cache import SharedCacheConfig
from deployments.gateway.cache.memory import Entry
from deployments.gateway.cache.redis import server
from deployments.gateway.cache.redis.guard import Guard
from deployments.gateway.cache.redis.reads import FETCHES, LOOKUP_KEYS, Reads
from deployments.gateway.cache.redis.value import packed, unpacked
from deployments.gateway.cache.redis.writes import Writes
from deployments.observability.metrics import GatewayMetrics, Labels


class SharedCache:
    """Entries on one server. Nothing that the server does, or fails to do, raises here."""

    def __init__(self, config: SharedCacheConfig, url: str, metrics: GatewayMetrics) -> None:
        """Prepare a client of the server at ``url``; it connects when it is used.

        Raises:
            ConfigError: the ``cache`` extra is not installed, or the URL is malformed.
        """
        self.config, self.url = config, url
        self._metrics = metrics
        self._client = server.client(url, connections=FETCHES + 1)
        name = server.name(self._client)
        self._guards = {"read": Guard(name, "reads"), "write": Guard(name, "writes")}
        self._reads = Reads(self._client, self._guards["read"])
        self._writes = Writes(self._client, self._guards["write"], metrics.shared_writes)

    async def get(self, labels: Labels, keys: Sequence[bytes], dimensions: int) -> dict[bytes, Entry]:
        """The entries that the server holds of these keys, as far as it says so in time.

        Args:
            labels: model and version, for the metrics.
            keys: as ``cache_key`` makes them.
            dimensions: of the vectors; values of another size are ignored.
        """
        found: dict[bytes, Entry] = {}
        parts = [keys[start : start + LOOKUP_KEYS] for start in range(0, len(keys), LOOKUP_KEYS)]
        for number, part in enumerate(parts):
            allowed = self._guards["read"].allow()
            values = await self._reads.get(part, self.config.timeout_ms / 1000) if allowed else None
            if values is None:
                rest = sum(map(len, parts[number:]))
                self._metrics.shared_lookups.add((*labels, "error" if allowed else "skipped"), rest)
                break
            for key, value in zip(part, values, strict=True):
                entry = None if value is None else unpacked(key, value, dimensions)
                result = "miss" if value is None else "corrupt" if entry is None else "hit"
                self._metrics.shared_lookups.add((*labels, result))
                if entry is not None:
                    found[key] = entry
        return found

    def put(self, key: bytes, entry: Entry) -> None:
        """Store an entry behind the answer, or drop it where that would be in the way."""
        self._writes.put(key, packed(key, entry), limit=self.config.waiting_writes, ttl_s=self.config.ttl_s)

    def report(self) -> None:
        """Set the gauges of what works."""
        for operation, guard in self._guards.items():
            self._metrics.shared_up.set(float(guard.up), {"operation": operation})

    async def close(self) -> None:
        """End what is in flight and close the connections."""
        await self._reads.close()
        await self._writes.close()
        await self._client.aclose()
        for operation in self._guards:
            self._metrics.shared_up.set(1, {"operation": operation})  # its last word would stand for ever otherwise
