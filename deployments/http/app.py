"""All adapters as one ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from deployments.embeddings import Embeddings
from deployments.http import health, inference_v2, metrics, models, openai, openapi
from deployments.http.errors import on_error, on_http_error
from models.errors import EmbedserveError


def build(embeddings: Embeddings) -> Starlette:
    """Build the application; the routes that traffic takes come first, because matching is by order."""
    return Starlette(
        routes=[
            *openai.routes(embeddings),
            *inference_v2.routes(embeddings),
            *models.routes(embeddings.registry),
            *health.routes(embeddings.registry),
            *metrics.routes(),
            *openapi.routes(),
        ],
        exception_handlers={EmbedserveError: on_error, HTTPException: on_http_error, Exception: on_error},
    )
