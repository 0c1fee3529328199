"""The ingress deployment: holds the gateway's parts together and owns no logic of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from ray import serve
from starlette.types import ASGIApp

from deployments.config import GatewayConfig, Profile, parse
from deployments.embeddings import Embeddings
from deployments.http.app import build
from deployments.log import logger
from deployments.metrics import GatewayMetrics
from deployments.registry import REFRESH_S, Registry
from deployments.workload import Processor


@serve.deployment
@serve.ingress()
class Gateway:
    """Parses, routes, answers from the cache, and coalesces calls to the encoders."""

    def __init__(self, profile: Profile) -> None:
        """Start without any model; ``reconfigure`` brings them."""
        self._profile = profile
        self._registry = Registry()
        self._metrics = GatewayMetrics()
        self._embeddings = Embeddings(self._registry, self._metrics)
        self._processor = Processor()
        self._configured = False
        self._task: asyncio.Task[None] | None = None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The HTTP application, as Serve asks for it after construction."""
        return build(self._embeddings)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What Serve asks for and hands to the autoscaling policy."""
        return {"busy": self._processor.busy()}

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new routing table, limits and cache size without a restart.

        A wrong configuration leaves a serving gateway as it is, for Serve would stop a replica that raised here.

        Raises:
            CatalogError: the configuration is invalid and none was valid before.
        """
        try:
            config = parse(GatewayConfig, user_config, "user_config of the gateway")
        except Exception as error:
            if not self._configured:
                raise
            logger.error("configuration refused, the old one stays in force: %s", error)
            return
        self._registry.configure(config)
        self._embeddings.cache.limit_bytes = config.cache.bytes
        self._embeddings.cache.trim()
        self._configured = True
        if self._task is None:
            self._task = asyncio.ensure_future(self._work_in_background())

    async def _work_in_background(self) -> None:
        while True:
            try:
                await self._registry.refresh()
                self._embeddings.report()
            except Exception:  # the loop outlives whatever a dying cluster raises; the next round says what holds
                logger.exception("refreshing the registry failed")
            await asyncio.sleep(REFRESH_S)
