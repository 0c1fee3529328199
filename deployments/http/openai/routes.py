"""The adapter: from OpenAI's requests to the embedding service and back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.gateway.embedding_service import EmbeddingService
from deployments.http.openai.answer import embedding_response, encoding_of
from deployments.http.openai.input import dimensions_of, model_of, parse_input, user_of
from deployments.http.openai.pictures import pictures_of
from deployments.http.request import embed_request, read_json, routing_key_of

DEFAULT_IMAGE_MODEL = "image-embedding"


def routes(embeddings: EmbeddingService) -> list[Route]:
    """The routes of this adapter."""

    async def embed(request: Request) -> Response:
        limits = embeddings.registry.config.limits
        body = await read_json(request, limits)
        encoding = encoding_of(body.get("encoding_format"))
        model = model_of(body)
        items = parse_input(body.get("input"), limits.items)
        dimensions = dimensions_of(body.get("dimensions"))
        key = routing_key_of(request) or user_of(body)
        asked = embed_request(request, model, items, key=key, dimensions=dimensions)
        return await embedding_response(await embeddings.embed(asked), encoding, embeddings.turns)

    async def embed_image(request: Request) -> Response:
        query = request.query_params
        encoding = encoding_of(query.get("encoding_format"))
        items, param = await pictures_of(request, embeddings.registry.config.limits)
        dimensions = dimensions_of(query.get("dimensions"), text=True)
        model = query.get("model", DEFAULT_IMAGE_MODEL)
        key = routing_key_of(request)
        asked = embed_request(request, model, items, key=key, dimensions=dimensions, param=param)
        return await embedding_response(await embeddings.embed(asked), encoding, embeddings.turns)

    return [
        Route("/v1/embeddings", embed, methods=["POST"]),
        Route("/v1/embeddings/image", embed_image, methods=["POST"]),
    ]
