"""The HTTP application: the layers that every request passes, and the routes behind them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.types import ASGIApp

from deployments.auth.authenticator import Authenticator
from deployments.gateway.embedding_service import EmbeddingService
from deployments.http import health, metrics, models
from deployments.http.console import routes as console
from deployments.http.dialects import cohere, ollama, tei, weaviate
from deployments.http.kserve_v2 import routes as kserve_v2
from deployments.http.middleware.admission import Admission
from deployments.http.middleware.auth import Authentication
from deployments.http.middleware.cors import Cors
from deployments.http.middleware.error_handler import ErrorHandler
from deployments.http.middleware.plain_paths import PlainPaths
from deployments.http.middleware.request_id import RequestId
from deployments.http.middleware.request_log import RequestLog
from deployments.http.middleware.security_headers import SecurityHeaders
from deployments.http.openai import routes as openai
from deployments.http.openapi import routes as openapi
from deployments.http.places import Places
from deployments.http.routing import Routing
from deployments.http.transfers import Transfers
from deployments.observability.access_log import AccessLog


def build(embeddings: EmbeddingService, auth: Authenticator, log: AccessLog) -> ASGIApp:
    """Build the application of a gateway."""
    return chain(middleware(embeddings, auth, log), routing(embeddings, auth))


def middleware(embeddings: EmbeddingService, auth: Authenticator, log: AccessLog) -> list[Middleware]:
    """What every request passes on its way in, top to bottom, and every answer on its way out, bottom to top."""
    registry, slow = embeddings.registry, embeddings.metrics.cut_off
    places = Places(lambda: registry.config.queue.open_requests, lambda: registry.config.queue.crowded_s)
    transfers = Transfers(lambda: registry.config.limits, lambda why: slow.add((why,)))
    return [
        Middleware(PlainPaths),  # a slash at the end means nothing
        Middleware(RequestId),  # names the request
        Middleware(RequestLog, log, embeddings.metrics),  # its line in the access log, its count, its span
        Middleware(SecurityHeaders),  # on every answer
        Middleware(Cors, lambda: registry.config.cors_origins),  # which pages of others may call
        Middleware(ErrorHandler),  # exceptions of the layers below become answers
        Middleware(Admission, places, transfers),  # 503 when too many are open, 408 when they come too slowly
        Middleware(Authentication, auth),  # 401 and 403; 503 while keys cannot be checked
    ]


def routing(embeddings: EmbeddingService, auth: Authenticator) -> Routing:
    """The routes; those that traffic takes come first, because matching is by order."""
    return Routing(
        [
            *openai.routes(embeddings),
            *kserve_v2.routes(embeddings),
            *tei.routes(embeddings),
            *ollama.routes(embeddings),
            *cohere.routes(embeddings),
            *weaviate.routes(embeddings),
            *models.routes(embeddings.registry),
            *health.routes(embeddings.registry, auth),
            *metrics.routes(),
            *openapi.routes(auth),
            *console.routes(auth),
        ]
    )


def chain(layers: Sequence[Middleware], innermost: ASGIApp) -> ASGIApp:
    """``innermost`` behind ``layers``, of which the first is the outermost."""
    app = innermost
    for cls, args, kwargs in reversed(layers):
        app = cls(app, *args, **kwargs)
    return app
