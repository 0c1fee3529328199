"""Cohere's ``/v2/embed``: texts or pictures in, and as many kinds of numbers as are asked for out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, get_args

from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbeddingService
from deployments.http.field_values import Dtype
from deployments.http.fields import wanted_of
from deployments.http.headers import routing_key_of
from deployments.http.middleware.request_id import REQUEST_ID
from deployments.http.openai.input import model_of, parse_input
from deployments.http.outputs import rows_of
from deployments.http.request import embed_request, read_json
from deployments.http.response import json_response, origin_headers, rows_json
from models.errors import InputError
from models.validation import one_of

TYPES: Final = (*get_args(Dtype), "base64")


def routes(embeddings: EmbeddingService) -> list[Route]:
    """The routes of this adapter."""

    async def embed(request: Request) -> Response:
        limits = embeddings.registry.config.limits
        body = await read_json(request, limits)
        types = types_of(body.pop("embedding_types", None))
        refuse_max_tokens(body.get("max_tokens"))
        field, given, kinds = inputs_of(body)
        wanted = wanted_of(body).of_inputs(kinds)
        items = parse_input(given, limits.items, field)
        asked = embed_request(request, model_of(body), items, wanted, key=routing_key_of(request), param=field)
        result = await embeddings.embed(asked)
        found = {name: await rows_json(entries_of(name), result.vectors, embeddings.turns) for name in types}
        answer = {
            "id": request.scope[REQUEST_ID].decode("latin-1"),
            "embeddings": found,
            "texts": [text for text, kind in zip(given, kinds, strict=True) if kind == "text"],
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": result.tokens}},
            "response_type": "embeddings_by_type",
        }
        return json_response(answer, headers=origin_headers(result))

    return [Route("/v2/embed", embed, methods=["POST"], include_in_schema=False)]


def entries_of(kind: Any) -> Callable[[NDArray[Any], int], list[Any]]:
    """What makes rows of a kind out of vectors."""
    if kind == "base64":
        return lambda vectors, _: rows_of(vectors, "float", "base64")
    return lambda vectors, _: rows_of(vectors, kind, "float")


def types_of(value: Any) -> list[Any]:
    """The kinds of numbers that are asked for, each once.

    Raises:
        InputError: it is no list of them.
    """
    if value is None:
        return ["float"]
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one in TYPES for one in value):
        raise InputError(
            f"embedding_types must be a list of {one_of(TYPES)}, not {short_repr(value)}", param="embedding_types"
        )
    return list(dict.fromkeys(value))


def refuse_max_tokens(value: Any) -> None:
    """Refuse to cut texts earlier than the model does.

    Raises:
        InputError: that is asked for.
    """
    if value is not None:
        raise InputError(
            "max_tokens is not offered: what is too long is cut where the model ends; send shorter texts",
            param="max_tokens",
        )


def inputs_of(body: dict[str, Any]) -> tuple[str, list[Any], list[str]]:
    """The field that has the inputs, the strings in it, and the modality of each.

    Raises:
        InputError: there is none, or several.
    """
    given = {name: body[name] for name in ("texts", "images", "inputs") if body.get(name) is not None}
    if len(given) != 1:
        raise InputError("send one of texts, images and inputs", param="texts")
    ((field, value),) = given.items()
    if not isinstance(value, list):
        raise InputError(f"{field} must be a list, not {short_repr(value)}", param=field)
    if field != "inputs":
        return field, value, ["text" if field == "texts" else "image"] * len(value)
    parts = [_part(index, item) for index, item in enumerate(value)]
    return field, [content for _, content in parts], [kind for kind, _ in parts]


def _part(index: int, item: Any) -> tuple[str, str]:
    content = item.get("content") if isinstance(item, dict) else None
    part = content[0] if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict) else {}
    if isinstance(part.get("text"), str):
        return "text", part["text"]
    url = part.get("image_url")
    url = url.get("url") if isinstance(url, dict) else url
    if isinstance(url, str):
        return "image", url
    where = f"inputs[{index}]"
    raise InputError(
        f"{where} must have a content of one part: a text, or an image_url; each input gets one vector of one of them",
        param=where,
    )
