"""All adapters as one ASGI application."""

from __future__ import annotations

from starlette.exceptions import HTTPException

from deployments.auth.authenticator import Authenticator
from deployments.gateway.embedding_service import EmbeddingService
from deployments.http import health, inference_v2, metrics, models, openai, openapi
from deployments.http.errors import on_error, on_http_error
from deployments.http.middleware.auth import Guarded
from models.errors import EmbedserveError


def build(embeddings: EmbeddingService, auth: Authenticator) -> Guarded:
    """Build the application; the routes that traffic takes come first, because matching is by order."""
    return Guarded(
        auth,
        routes=[
            *openai.routes(embeddings),
            *inference_v2.routes(embeddings),
            *models.routes(embeddings.registry),
            *health.routes(embeddings.registry),
            *metrics.routes(),
            *openapi.routes(auth),
        ],
        exception_handlers={EmbedserveError: on_error, HTTPException: on_http_error, Exception: on_error},
    )
