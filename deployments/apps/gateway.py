"""The ingress deployment: puts the gateway's parts together and has no logic of its own."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ray import serve
from starlette.types import ASGIApp

from deployments.auth.authenticator import REFRESH_S as KEYS_REFRESH_S
from deployments.auth.authenticator import Authenticator
from deployments.autoscaling.processor import Processor
from deployments.config.base import Profile, parse
from deployments.config.gateway import GatewayConfig
from deployments.config.internals import Internals
from deployments.gateway import collector
from deployments.gateway.embedding_service import EmbeddingService
from deployments.gateway.exposures import read_secret
from deployments.gateway.model_registry import REFRESH_S, ModelRegistry
from deployments.http.app import build
from deployments.http.grpc.calls import Calls
from deployments.http.grpc.ingress import GrpcIngress
from deployments.observability import tracing
from deployments.observability.access_log import AccessLog
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.observability.logging import logger
from deployments.rpc import heap
from deployments.serve_internals import http_shortcut, seams
from deployments.serve_internals.log_folder import log_folder

LOG_EVERY_S = 1.0
REQUESTS = 8192  # at once, unless the configuration says otherwise; more than `queue.open_requests` ever lets in


@serve.deployment(max_ongoing_requests=REQUESTS)
@serve.ingress()
class Gateway(GrpcIngress):
    """Parses, routes, answers from the cache, and sends requests that wait together to the encoders as one call."""

    def __init__(self, profile: Profile) -> None:
        """Start without any model; ``reconfigure`` brings them.

        Raises:
            ConfigError: the configured API keys cannot be read.
        """
        tracing.start("embedserve-gateway")
        replica = serve.get_replica_context().replica_id.unique_id
        self._access_log = AccessLog(log_folder() / f"access_{replica}.log", replica)
        self._auth = Authenticator(profile)
        self._registry = ModelRegistry()
        self._metrics = GatewayMetrics()
        self._embeddings = EmbeddingService(self._registry, self._metrics)
        self._application = build(self._embeddings, self._auth, self._access_log)
        self.calls = Calls(self._application, self._auth, lambda: self._registry.config.limits)
        self._processor = Processor()
        self._configured = False
        self._tasks: list[asyncio.Task[None]] = []
        collector.calm()
        heap.keep()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The HTTP application, as Serve asks for it after construction."""
        return self._application

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """The figures that Serve asks for and hands to the autoscaling policy."""
        return {"busy": self._processor.busy()}

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new routing table, limits and caches without a restart.

        A wrong configuration leaves a serving gateway as it is, for Serve would stop a replica that raised here.

        Raises:
            ConfigError: the configuration is invalid, or there are no API keys in production, and none was valid before.
        """
        try:
            config = parse(GatewayConfig, user_config, "user_config of the gateway")
            exposures = config.experiments.exposures
            secret = read_secret(exposures) if exposures is not None else None
            self._embeddings.cache.configure(config.cache)
            # Last, so that a refused configuration does not change who is let in.
            self._auth.configure(config.auth, config.auth_grace_s)
        except Exception as error:
            if not self._configured:
                raise
            logger.error("configuration refused, the old one stays in force: %s", error)
            return
        self._registry.configure(config)
        self._access_log.on, self._embeddings.exposure_secret = config.access_log, secret
        self._metrics.keep_old_names(config.old_metric_names)
        self._configured = True
        self._use(config.internals)
        if not self._tasks:
            self._tasks = [
                asyncio.ensure_future(work) for work in (self._refresh(), self._report(), self._watch_keys())
            ]
            self._tasks.append(asyncio.ensure_future(self._write_access_log()))

    def _use(self, internals: Internals) -> None:
        """Switch seams. Through their modules: Serve pickles this class and its globals, which are copies in the replica."""
        seams.SEAMS.configure(internals)
        if seams.SEAMS.on("http_shortcut"):
            http_shortcut.SHORTCUT.open(self._application)
        else:
            http_shortcut.SHORTCUT.close()

    async def _refresh(self) -> None:
        while True:
            try:
                await self._registry.refresh()
            except Exception:  # the loop outlives whatever a dying cluster raises; the next round says what holds
                logger.exception("refreshing the registry failed")
            await asyncio.sleep(REFRESH_S)

    async def _report(self) -> None:
        """Hand metrics over once a second. Not in the registry's loop: what is noted meanwhile beyond a second's is dropped."""
        while True:
            try:
                seams.SEAMS.report(self._metrics)
                await self._embeddings.report()
                self._metrics.keys_age.set(self._auth.age_s)
                self._metrics.keys_expiry.set(self._auth.next_expiry(time.time()))
            except Exception:  # whatever Ray raises, the next second's must be told
                logger.exception("handing metrics over failed")
            await asyncio.sleep(REFRESH_S)

    async def _watch_keys(self) -> None:
        """Notice changes of the key file. Not in the registry's loop, which may have to wait for a replica."""
        while True:
            await asyncio.sleep(KEYS_REFRESH_S)
            try:
                await asyncio.get_running_loop().run_in_executor(None, self._auth.refresh)
            except Exception:  # an unreadable file must not end the watch: the next one may revoke a key
                logger.exception("looking at the API keys failed")

    async def _write_access_log(self) -> None:
        """Write the noted lines once a second, in a thread, so that no request waits for the disk."""
        while True:
            await asyncio.sleep(LOG_EVERY_S)
            await asyncio.get_running_loop().run_in_executor(None, self._access_log.write, self._access_log.take())

    def __del__(self) -> None:
        """Serve calls this when the replica has drained."""
        self._access_log.close()
