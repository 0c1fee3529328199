"""The ingress deployment: holds the gateway's parts together and owns no logic of its own."""

from __future__ import annotations

from typing import Any

from ray import serve
from starlette.types import ASGIApp

from deployments.config import GatewayConfig, Profile, parse
from deployments.embeddings import Embeddings
from deployments.http.app import build
from deployments.registry import Registry


@serve.deployment
@serve.ingress()
class Gateway:
    """Parses, routes, answers from the cache, and coalesces calls to the encoders."""

    def __init__(self, profile: Profile) -> None:
        """Start without any model; ``reconfigure`` brings them."""
        self._profile = profile
        self._registry = Registry()
        self._embeddings = Embeddings(self._registry)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The HTTP application, as Serve asks for it after construction."""
        return build(self._embeddings)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new routing table, limits and cache size without a restart.

        Raises:
            CatalogError: the configuration is invalid; the old one stays.
        """
        config = parse(GatewayConfig, user_config, "user_config of the gateway")
        self._registry.configure(config)
        self._embeddings.cache.limit_bytes = config.cache.bytes
        self._embeddings.cache.trim()
        self._registry.start()
