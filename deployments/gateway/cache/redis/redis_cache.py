"""A shared cache on a Redis or Valkey server."""

from __future__ import annotations

from collections.abc import Sequence

from deployments.config.cache import SharedCacheConfig
from deployments.contract.embedding import Embedding, Label
from deployments.gateway.cache.redis.connection import connect, secrets, server_name
from deployments.gateway.cache.redis.reader import FETCHES, LOOKUP_KEYS, Reader
from deployments.gateway.cache.redis.server_health import ServerHealth
from deployments.gateway.cache.redis.stored_value import packed, unpacked
from deployments.gateway.cache.redis.writer import Writer
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.labels import Labels


class RedisCache:
    """Embeddings on one server, behind one circuit breaker for reads and one for writes."""

    def __init__(self, config: SharedCacheConfig, url: str, metrics: GatewayMetrics) -> None:
        """Prepare a client of the server at ``url``; it connects when it is used.

        Raises:
            ConfigError: the ``cache`` extra is not installed, or the URL is malformed.
        """
        self._config = config
        self._metrics = metrics
        self._client = connect(url, connections=FETCHES + 1)
        name, hidden = server_name(self._client), secrets(self._client)
        self._health = {"read": ServerHealth(name, "reads", hidden), "write": ServerHealth(name, "writes", hidden)}
        self._reader = Reader(self._client, self._health["read"])
        self._writer = Writer(self._client, self._health["write"], metrics.shared_writes)

    def configure(self, config: SharedCacheConfig) -> None:
        """Take other settings for the same server."""
        self._config = config

    async def get(self, labels: Labels, keys: Sequence[bytes], label: Label, dimensions: int) -> dict[bytes, Embedding]:
        """The embeddings that the server holds of these keys, as far as it answers in time.

        Args:
            labels: model and version, for the metrics.
            keys: as ``cache_key`` makes them.
            label: of the artifact whose hash the keys hold.
            dimensions: of the vectors; values of another size are ignored.
        """
        found: dict[bytes, Embedding] = {}
        parts = [keys[start : start + LOOKUP_KEYS] for start in range(0, len(keys), LOOKUP_KEYS)]
        for number, part in enumerate(parts):
            allowed = self._health["read"].allow()
            values = await self._reader.get(part, self._config.timeout_ms / 1000) if allowed else None
            if values is None:
                rest = sum(map(len, parts[number:]))
                self._metrics.shared_lookups.add((*labels, "error" if allowed else "skipped"), rest)
                break
            for key, value in zip(part, values, strict=True):
                embedding = None if value is None else unpacked(key, value, label, dimensions)
                result = "miss" if value is None else "corrupt" if embedding is None else "hit"
                self._metrics.shared_lookups.add((*labels, result))
                if embedding is not None:
                    found[key] = embedding
        return found

    def put(self, key: bytes, embedding: Embedding) -> None:
        """Store an embedding in the background, or drop it where too much waits or the server is left alone."""
        value = packed(key, embedding)
        self._writer.put(key, value, limit=self._config.waiting_writes, ttl_s=self._config.ttl_s)

    def report(self) -> None:
        """Set the gauges of what works."""
        for operation, health in self._health.items():
            self._metrics.shared_up.set(float(health.up), {"operation": operation})

    async def close(self) -> None:
        """End what is in flight and close the connections."""
        await self._reader.close()
        await self._writer.close()
        await self._client.aclose()
        for operation in self._health:
            # Otherwise its last value stays until Ray forgets it.
            self._metrics.shared_up.set(1, {"operation": operation})
