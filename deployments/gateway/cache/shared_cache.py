"""What a server must do that gateways share as a cache, and which kinds of servers there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from deployments.config.cache import SharedCacheConfig
from deployments.contract.embedding import Embedding, Label
from deployments.gateway.cache.redis.redis_cache import RedisCache
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.labels import Labels


class SharedCache(Protocol):
    """Embeddings on one server. Nothing that the server does, or fails to do, raises here."""

    def configure(self, config: SharedCacheConfig) -> None:
        """Take other settings for the same server."""

    async def get(self, labels: Labels, keys: Sequence[bytes], label: Label, dimensions: int) -> dict[bytes, Embedding]:
        """The embeddings that the server holds of these keys, as far as it answers in time.

        Args:
            labels: model and version, for the metrics.
            keys: as ``cache_key`` makes them.
            label: of the artifact whose hash the keys hold.
            dimensions: of the vectors; values of another size are ignored.
        """

    def put(self, key: bytes, embedding: Embedding) -> None:
        """Store an embedding in the background, or drop it where too much waits or the server is left alone."""

    def report(self) -> None:
        """Set the gauges of what works."""

    async def close(self) -> None:
        """End what is in flight and close the connections."""


# By the scheme of the server's URL. Each takes the settings, the URL and the metrics, connects when it is used, and raises
# ConfigError where the URL is malformed or an extra is not installed.
BACKENDS: Mapping[str, Callable[[SharedCacheConfig, str, GatewayMetrics], SharedCache]] = {
    "redis": RedisCache,
    "rediss": RedisCache,
    "unix": RedisCache,
}
