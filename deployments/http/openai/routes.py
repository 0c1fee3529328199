"""The adapter: from OpenAI's requests to the embedding service and back."""

from __future__ import annotations

from functools import lru_cache

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.gateway.embedding_service import EmbeddingService
from deployments.http.fields import Wanted, wanted_of, wanted_of_query
from deployments.http.headers import routing_key_of
from deployments.http.openai.answer import embedding_response
from deployments.http.openai.input import model_of, parse_input, tagged_input, user_of
from deployments.http.openai.pictures import pictures_of
from deployments.http.printed import Printed
from deployments.http.request import embed_request, read_json

DEFAULT_IMAGE_MODEL = "image-embedding"
# Of clients whose base URL has no /v1 (infinity's), and Azure's.
BARE = "/embeddings"  # of infinity, whose clients say 0 where they want all dimensions
OTHER_PATHS = (BARE, "/openai/deployments/{deployment}/embeddings")


@lru_cache(maxsize=256)
def asked_by(query: bytes) -> tuple[Wanted, str]:
    """What a query says of the vectors of pictures, and the model that it names. Clients send the same one over and over.

    Raises:
        InputError: as ``wanted_of_query``.
    """
    values = QueryParams(query)
    return wanted_of_query(values), values.get("model", DEFAULT_IMAGE_MODEL)


def routes(embeddings: EmbeddingService) -> list[Route]:
    """The routes of this adapter."""
    printed = Printed()

    async def embed(request: Request) -> Response:
        limits = embeddings.registry.config.limits
        body = await read_json(request, limits)
        if request.scope["path"] == BARE and type(size := body.get("dimensions")) is int and size == 0:
            del body["dimensions"]
        wanted = wanted_of(body)
        model = request.path_params.get("deployment") or model_of(body)  # Azure's path names it
        value, kinds = tagged_input(body.get("input"))
        if kinds is not None:
            wanted = wanted.of_inputs(kinds)
        items = parse_input(value, limits.items)
        key = routing_key_of(request) or user_of(body)
        asked = embed_request(request, model, items, wanted, key=key)
        return await embedding_response(request, await embeddings.embed(asked), wanted, embeddings.turns, printed)

    async def embed_image(request: Request) -> Response:
        wanted, model = asked_by(request.scope["query_string"])
        items, param = await pictures_of(request, embeddings.registry.config.limits)
        key = routing_key_of(request)
        asked = embed_request(request, model, items, wanted, key=key, param=param)
        return await embedding_response(request, await embeddings.embed(asked), wanted, embeddings.turns, printed)

    return [
        Route("/v1/embeddings", embed, methods=["POST"]),
        *(Route(path, embed, methods=["POST"], include_in_schema=False) for path in OTHER_PATHS),
        Route("/v1/embeddings/image", embed_image, methods=["POST"]),
    ]
