"""Text-embeddings-inference: what huggingface_hub, LlamaIndex and chroma send. Its requests name no model."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.gateway.embedding_service import EmbeddingService
from deployments.gateway.model_registry import ModelRegistry
from deployments.http.field_values import text_of
from deployments.http.fields import wanted_of
from deployments.http.headers import routing_key_of
from deployments.http.openai.input import parse_input
from deployments.http.outputs import rows_of
from deployments.http.request import embed_request, read_json
from deployments.http.response import json_response, origin_headers, rows_json


def routes(embeddings: EmbeddingService) -> list[Route]:
    """The routes of this adapter; a request without a model's name goes to the first one of texts."""
    registry = embeddings.registry

    async def embed(request: Request) -> Response:
        limits = registry.config.limits
        body = await read_json(request, limits)
        parameters = body.get("parameters")
        wanted = wanted_of({**(parameters if isinstance(parameters, dict) else {}), **body})
        items = parse_input(body.get("inputs"), limits.items, "inputs")
        model = text_of(body.get("model"), "model") or request.query_params.get("model") or registry.first("text")
        key = routing_key_of(request)
        # Its ids are those that its own /tokenize gives.
        asked = embed_request(request, model, items, wanted, key=key, param="inputs", vocabulary="model")
        result = await embeddings.embed(asked)
        rows = await rows_json(
            lambda vectors, _: rows_of(vectors, wanted.dtype, wanted.encoding), result.vectors, embeddings.turns
        )
        return json_response(rows, headers=origin_headers(result))

    async def info(request: Request) -> Response:
        return json_response(info_of(registry, request.query_params.get("model") or registry.first("text")))

    return [
        Route("/embed", embed, methods=["POST"], include_in_schema=False),
        Route("/", embed, methods=["POST"], include_in_schema=False),
        Route("/info", info, include_in_schema=False),
    ]


def info_of(registry: ModelRegistry, model: str) -> dict[str, Any]:
    """What TEI's clients ask before they send anything: how long and how many inputs may be.

    Raises:
        ModelNotFoundError: there is no such model.
    """
    version = registry.resolve(model)
    known = version.info
    return {
        "model_id": version.reference,
        "model_sha": known.label.hash if known else None,
        "model_dtype": known.precision if known else None,
        "model_type": {"embedding": {"pooling": "model"}},
        "max_input_length": known.max_tokens if known else None,
        "max_client_batch_size": registry.config.limits.items,
        "max_concurrent_requests": registry.config.queue.open_requests,
        "auto_truncate": True,
        "version": "embedserve",
    }
