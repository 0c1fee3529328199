"""A gateway without Ray that sends its calls to one encoder; it says at which port it listens."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from pathlib import Path
from typing import Any

import uvicorn

from bench.null_engine.encoder import NUMERICS, REFERENCES
from deployments.auth.authenticator import Authenticator
from deployments.config.gateway import GatewayConfig
from deployments.contract.embedding import Label
from deployments.contract.model_info import ModelInfo
from deployments.gateway import collector
from deployments.gateway.embedding_service import EmbeddingService
from deployments.gateway.model_registry import ModelRegistry
from deployments.http.app import build
from deployments.observability.access_log import AccessLog
from deployments.observability.gateway_metrics import GatewayMetrics
from deployments.rpc import heap
from deployments.serve_internals import http_hook, http_shortcut
from models.catalog.catalog import Catalog

QUEUE = {
    "call_images": 128,
    "call_cost": 16_384,
    "waiting_items": 32_768,
    "open_requests": 512,
}  # as the overlays for cards


async def serve(modality: str, said: dict[str, Any]) -> None:
    """Take requests until this process ends."""
    collector.calm()
    heap.keep()
    reference = REFERENCES[modality]
    spec = Catalog.load().find(reference)
    registry = ModelRegistry()
    models = {spec.model: {"type": modality, "versions": {spec.version: 1}}}
    # Every input is new to it: the cache is looked into and never holds one.
    registry.configure(GatewayConfig.model_validate({"models": models, "queue": QUEUE, "cache": {"bytes": 0}}))
    version = registry.versions[reference]
    label = Label(reference, said["hash"], False, NUMERICS)
    version.info = ModelInfo(label, spec.name, modality, spec.dimensions, "fp16", "null", max_tokens=256)
    replicas: Any = version._replicas
    replicas._handle, replicas._search.endpoints = object(), {"null": said["endpoint"]}
    while replicas._connections.pick(replicas._search.endpoints) is None:  # noqa: ASYNC110 - connections tell nobody
        await asyncio.sleep(0.01)
    embeddings = EmbeddingService(registry, GatewayMetrics())
    embeddings.cache.configure(registry.config.cache)
    log = AccessLog(Path(tempfile.mkdtemp()) / "access.log", "null")
    application = build(embeddings, Authenticator("development", {}), log)
    http_shortcut.SHORTCUT.open(application)
    outermost: Any
    (outermost,) = http_hook.middlewares()  # what a replica's server passes requests through
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    outside = outermost.cls(application)
    config = uvicorn.Config(outside, log_level="critical", lifespan="off", interface="asgi3", access_log=False)
    await uvicorn.Server(config).serve([listener])
