"""Weaviate's modules `text2vec-transformers` and `multi2vec-clip`, as the server asks their containers. No request names a model."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbeddingService, EmbedResult
from deployments.gateway.model_registry import ModelRegistry
from deployments.http.fields import Wanted, wanted_of
from deployments.http.headers import routing_key_of
from deployments.http.openai.input import parse_input
from deployments.http.request import embed_request, read_json
from deployments.http.response import json_response, origin_headers, rows_json
from models.errors import InputError, ModelNotFoundError


def routes(embeddings: EmbeddingService) -> list[Route]:
    """The routes of this adapter: texts by the first model of texts, pictures and what is beside them by the first name of both."""
    registry = embeddings.registry

    async def vectors(request: Request) -> Response:
        body = await read_json(request, registry.config.limits)
        wanted = wanted_of(config_of(body))
        field = "texts" if "texts" in body else "text"
        given = text_of(body) if field == "text" else body[field]
        result = await embed(embeddings, request, registry.first("text"), given, field, wanted)
        found, dims = await rows(embeddings, result), result.vectors.shape[1]
        answer = (
            {"text": given, "vector": found[0], "dims": dims} if field == "text" else {"vectors": found, "dims": dims}
        )
        return json_response(answer, headers=origin_headers(result))

    async def vectorize(request: Request) -> Response:
        body = await read_json(request, registry.config.limits)
        model = both_towers(registry) or registry.first("image")
        answer: dict[str, Any] = {"textVectors": [], "imageVectors": []}
        headers: dict[str, str] = {}
        for field, name, modality in (("texts", "textVectors", "text"), ("images", "imageVectors", "image")):
            if body.get(field) not in (None, []):  # it sends both, and one is empty
                result = await embed(embeddings, request, model, body[field], field, Wanted(modality=modality))
                answer[name], headers = await rows(embeddings, result), origin_headers(result)
        if not headers:
            raise InputError("send texts, images, or both", param="texts")
        return json_response(answer, headers=headers)

    async def meta(_: Request) -> Response:
        return json_response({modality: described(registry, modality) for modality in ("text", "image")})

    return [
        Route("/vectors", vectors, methods=["POST"], include_in_schema=False),
        Route("/vectorize", vectorize, methods=["POST"], include_in_schema=False),
        Route("/meta", meta, include_in_schema=False),
    ]


async def embed(
    embeddings: EmbeddingService, request: Request, model: str, given: Any, field: str, wanted: Wanted
) -> EmbedResult:
    """Embed what was given in a field of a request.

    Raises:
        EmbedserveError: as ``embed`` of the service; or the field is wrong.
    """
    items = parse_input(given, embeddings.registry.config.limits.items, field)
    asked = embed_request(request, model, items, wanted, key=routing_key_of(request), param=field)
    return await embeddings.embed(asked)


async def rows(embeddings: EmbeddingService, result: EmbedResult) -> Any:
    """The vectors of a result for JSON."""
    return await rows_json(lambda vectors, _: list(vectors), result.vectors, embeddings.turns)


def text_of(body: dict[str, Any]) -> str:
    """The one text of a request.

    Raises:
        InputError: there is none.
    """
    text = body.get("text")
    if not isinstance(text, str):
        raise InputError(f"text must be a string, not {short_repr(text)}; or send a list as texts", param="text")
    return text


def config_of(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request's ``config`` as other protocols have them.

    Weaviate says ``masked_mean`` for every model unless it is told otherwise, and its own container heeds that only for models
    that have no pooling of their own, which here all have.

    Raises:
        InputError: it is no object, or asks for another pooling.
    """
    config = body.get("config")
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise InputError(f"config must be an object, not {short_repr(config)}", param="config")
    pooling = config.get("pooling_strategy")
    if pooling not in (None, "", "masked_mean"):
        raise InputError(
            f"config.pooling_strategy: {short_repr(pooling)} is not offered: the model's own pooling counts",
            param="config.pooling_strategy",
        )
    return config


def both_towers(registry: ModelRegistry) -> str | None:
    """The first name whose texts and pictures lie in one space."""
    return next((name for name, towers in registry.config.towers.items() if {"text", "image"} <= set(towers)), None)


def described(registry: ModelRegistry, modality: str) -> dict[str, Any] | None:
    """The model that requests go to, where there is one."""
    try:
        version = registry.resolve(registry.first(modality))
    except ModelNotFoundError:
        return None
    info = version.info
    return {
        "model": version.reference,
        "hash": info.label.hash if info else None,
        "dims": info.dimensions if info else None,
    }
