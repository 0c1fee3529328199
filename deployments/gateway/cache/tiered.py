"""The cache as requests see it: this gateway's memory, then the server that all gateways share where one is configured."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from deployments.config.cache import Cache
from deployments.contract.embedding import Embedding, Label
from deployments.gateway.cache.memory import MemoryCache
from deployments.gateway.cache.shared_cache import BACKENDS, SharedCache
from deployments.gateway.cache.shared_url import shared_url
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.labels import Labels


class TieredCache:
    """Memory first, then the shared level; both under keys that hold the artifact's hash."""

    def __init__(self, metrics: GatewayMetrics) -> None:
        """Start with no room for anything; ``configure`` brings the sizes."""
        self._metrics = metrics
        self.memory = MemoryCache(0)
        self.shared: SharedCache | None = None
        self._shared_url: str | None = None
        self._closing: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks weakly

    def configure(self, config: Cache) -> None:
        """Take new sizes and another shared level, or none; called inside the event loop.

        Raises:
            ConfigError: the shared level cannot be used as configured; nothing has changed then.
        """
        self._configure_shared(config)
        self.memory.resize(config.bytes)

    def _configure_shared(self, config: Cache) -> None:
        old, wanted = self.shared, config.shared
        url = shared_url(wanted, BACKENDS) if wanted else None
        if old is not None and wanted is not None and url == self._shared_url:
            old.configure(wanted)
            return
        self.shared = BACKENDS[url.partition("://")[0]](wanted, url, self._metrics) if wanted and url else None
        self._shared_url = url
        if old is not None:
            task = asyncio.ensure_future(old.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def get(self, key: bytes) -> Embedding | None:
        """The embedding that memory holds."""
        return self.memory.get(key)

    async def fetch(
        self, labels: Labels, keys: Sequence[bytes], label: Label, dimensions: int
    ) -> dict[bytes, Embedding]:
        """The embeddings that the shared level holds of keys that memory lacks; they are in memory afterwards.

        Args:
            labels: model and version, for the metrics.
            keys: as ``cache_key`` makes them.
            label: of the artifact whose hash the keys hold.
            dimensions: of the vectors.
        """
        if self.shared is None:
            return {}
        found = await self.shared.get(labels, keys, label, dimensions)
        for key, embedding in found.items():
            self.memory.put(key, embedding)
        return found

    def put(self, key: bytes, embedding: Embedding) -> None:
        """Keep what was computed."""
        self.memory.put(key, embedding)
        if self.shared is not None:
            self.shared.put(key, embedding)

    def report(self) -> None:
        """Set the gauges."""
        self._metrics.cache.set(self.memory.used_bytes)
        if self.shared is not None:
            self.shared.report()
