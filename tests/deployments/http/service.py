"""The gateway's whole HTTP application on a socket, without Ray.

The vector of one text is in its cache; for every other text it waits for an encoder that never answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import uvicorn
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from deployments.auth.authenticator import Authenticator
from deployments.config.gateway import GatewayConfig
from deployments.contract.embedding import Embedding, Label
from deployments.contract.model_info import ModelInfo
from deployments.contract.reply import EncodeReply
from deployments.gateway.cache.key import cache_key
from deployments.gateway.embedding_service import EmbeddingService
from deployments.gateway.model_registry import ModelRegistry
from deployments.http.app import chain, middleware, routing
from deployments.observability.access_log import AccessLog
from deployments.observability.gateway_metrics import GatewayMetrics

TEXT = "a text that is in the cache"
HASH = "0123"
NUMERICS = "cpu/fp32/avx512f/onnxruntime-1.32.0"


@contextlib.contextmanager
def serving(app: ASGIApp) -> Iterator[httpx2.Client]:
    """A client of ``app`` behind uvicorn, in a thread of this process."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="off", interface="asgi3")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx2.Client(base_url=url, timeout=10, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = server.force_exit = True  # nobody waits for what is still open
        thread.join()


async def _never(*_: object) -> EncodeReply:
    await asyncio.Event().wait()
    raise AssertionError


@dataclass
class Application:
    """An application, what it counts and what it logs."""

    app: ASGIApp
    embeddings: EmbeddingService
    log: AccessLog
    path: Path

    def lines(self) -> list[dict[str, Any]]:
        """The access log."""
        self.log.write(self.log.take())
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def line(self, request_id: str) -> dict[str, Any]:
        """The one line of a request; it is written after its answer has left."""
        deadline = time.monotonic() + 60
        while not (found := [line for line in self.lines() if line["request_id"] == request_id]):
            assert time.monotonic() < deadline, f"no line for {request_id}"
            time.sleep(0.005)
        (line,) = found
        return line

    def requests(self) -> Counter[tuple[str, ...]]:
        """``embedserve_requests`` by model, version and code."""
        found: Counter[tuple[str, ...]] = Counter()
        for (*labels, _), count in self.embeddings.metrics.requests._pending.items():
            found[tuple(labels)] += int(count)
        return found

    def shed(self) -> Counter[tuple[str, ...]]:
        """``embedserve_shed`` by model, version and reason."""
        return Counter(self.embeddings.metrics.shed._pending)


def all_ready(built: Application) -> Application:
    """The same, as if replicas of all its models answered when they are asked what they serve."""
    for version in built.embeddings.registry.versions.values():

        async def describe(_: float, info: ModelInfo | None = version.info) -> ModelInfo | None:
            return info

        version._replicas.describe = describe  # type: ignore[method-assign, assignment]
        version.seen_at = math.inf
    return built


def application(
    folder: Path,
    auth: Authenticator | None = None,
    more: Callable[[list[Middleware]], Sequence[Middleware]] = lambda layers: layers,
    **config: Any,
) -> Application:
    """Build one; ``more`` may change the list of layers, and ``config`` the gateway's configuration."""
    models = {"m": {"type": "text", "versions": {"1": 1}}, "image-embedding": {"type": "image", "versions": {"1": 1}}}
    registry = ModelRegistry()
    registry.configure(GatewayConfig.model_validate({"models": models, "cache": {"bytes": 100_000}, **config}))
    for model, modality in (("m", "text"), ("image-embedding", "image")):
        label = Label(f"{model}@1", HASH, numerics=NUMERICS)
        registry.versions[label.model].queue._send = _never
        registry.versions[label.model].info = ModelInfo(label, model, modality, 4, "fp32", "CPU")
    embeddings = EmbeddingService(registry, GatewayMetrics())
    embeddings.cache.configure(registry.config.cache)
    label = Label("m@1", HASH, numerics=NUMERICS)
    embeddings.cache.put(cache_key(label.identity, TEXT), Embedding(np.eye(4, dtype=np.float32)[0], 5, label))
    auth = auth or Authenticator("development", {})
    log = AccessLog(folder / "access.log", "replica")
    log.on = True
    app = chain(more(middleware(embeddings, auth, log)), routing(embeddings, auth))
    return Application(app, embeddings, log, folder / "access.log")
