"""The adapter: from OpenAI's requests to the embedding service and back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbeddingService
from deployments.http.fields import Wanted, wanted_of, wanted_of_query
from deployments.http.headers import routing_key_of
from deployments.http.openai.answer import embedding_response
from deployments.http.openai.input import model_of, parse_input, tagged_input, user_of
from deployments.http.openai.pictures import pictures_of
from deployments.http.printed import Printed
from deployments.http.request import embed_request, read_json
from models.errors import InputError

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
    return _asked_by(QueryParams(query))


def asked_also_by(query: bytes, fields: Mapping[str, str]) -> tuple[Wanted, str]:
    """The same where a form says something beside its pictures.

    Raises:
        InputError: the form says other than the query.
    """
    values = dict(QueryParams(query))
    for name, value in fields.items():
        if values.setdefault(name, value) != value:
            raise InputError(f"the form and the query say different things as {short_repr(name)}; send one", param=name)
    return _asked_by(values)


def _asked_by(values: Mapping[str, str]) -> tuple[Wanted, str]:
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
        query = request.scope["query_string"]
        wanted, model = asked_by(query)
        items, param, fields = await pictures_of(request, embeddings.registry.config.limits)
        if fields:
            wanted, model = asked_also_by(query, fields)
        key = routing_key_of(request) or user_of(fields)
        asked = embed_request(request, model, items, wanted, key=key, param=param)
        return await embedding_response(request, await embeddings.embed(asked), wanted, embeddings.turns, printed)

    return [
        Route("/v1/embeddings", embed, methods=["POST"]),
        *(Route(path, embed, methods=["POST"], include_in_schema=False) for path in OTHER_PATHS),
        Route("/v1/embeddings/image", embed_image, methods=["POST"]),
    ]
