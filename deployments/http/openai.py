"""OpenAI-compatible routes, and the raw-body route for pictures."""

from __future__ import annotations

from typing import Any

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.config.limits import Limits
from deployments.contract.items import Item
from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbeddingService, EmbedRequest
from deployments.http.middleware.auth import CLIENT
from deployments.http.request import bulk_of, media_type, read_body, read_json, timeout_of
from deployments.http.response import encoding_of, openai_response
from models.errors import InputError, LimitError, MediaTypeError

DEFAULT_IMAGE_MODEL = "image-embedding"
ROUTING_HEADER = "x-routing-key"
MAX_ID = 2**31 - 1


def routes(embeddings: EmbeddingService) -> list[Route]:
    """The routes of this adapter."""

    async def embed(request: Request) -> Response:
        limits = embeddings.registry.config.limits
        body = await read_json(request, limits)
        encoding = encoding_of(body.get("encoding_format"))
        result = await embeddings.embed(
            EmbedRequest(
                model=_string(body, "model"),
                items=parse_input(body.get("input"), limits.items),
                dimensions=_dimensions(body.get("dimensions")),
                key=_routing_key(request, body),
                headers=request.headers,
                timeout_s=timeout_of(request),
                client=request.scope.get(CLIENT),
                bulk=bulk_of(request),
            )
        )
        return openai_response(result, encoding)

    async def embed_image(request: Request) -> Response:
        query = request.query_params
        encoding = encoding_of(query.get("encoding_format"))
        items, param = await _pictures(request, embeddings.registry.config.limits)
        result = await embeddings.embed(
            EmbedRequest(
                model=query.get("model", DEFAULT_IMAGE_MODEL),
                items=items,
                dimensions=_dimensions(query.get("dimensions"), text=True),
                key=_routing_key(request, {}),
                headers=request.headers,
                timeout_s=timeout_of(request),
                client=request.scope.get(CLIENT),
                bulk=bulk_of(request),
                param=param,
            )
        )
        return openai_response(result, encoding)

    return [
        Route("/v1/embeddings", embed, methods=["POST"]),
        Route("/v1/embeddings/image", embed_image, methods=["POST"]),
    ]


def parse_input(value: Any, limit: int) -> list[Item]:
    """The four forms of OpenAI's ``input``: string, strings, token ids, lists of token ids.

    Raises:
        InputError: another type; the message names the index.
        LimitError: more items than ``limit``.
    """
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        given = "missing" if value is None else f"of type {type(value).__name__}"
        raise InputError(
            f"input is {given}; send a string, a list of strings, a list of token ids or a list of such lists",
            param="input",
        )
    if not value:
        raise InputError("input is an empty list; send at least one item", param="input", code="empty_input")
    if isinstance(value[0], int) and not isinstance(value[0], bool):
        return [_token_ids(value, "input")]
    if len(value) > limit:
        raise LimitError(f"input has {len(value)} items, the limit is {limit}", param="input")
    if isinstance(value[0], str):
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise _mixed(index, item, "a string")
        return value
    if isinstance(value[0], list):
        return [_token_list(index, item) for index, item in enumerate(value)]
    raise _mixed(0, value[0], "a string or a list of token ids")


def _token_list(index: int, item: Any) -> Item:
    if not isinstance(item, list):
        raise _mixed(index, item, "a list of token ids")
    if not item:
        raise InputError(f"input[{index}] is empty", param=f"input[{index}]", code="empty_input")
    return _token_ids(item, f"input[{index}]")


def _token_ids(values: list[Any], where: str) -> tuple[int, ...]:
    for value in values:
        if type(value) is not int or not 0 <= value <= MAX_ID:
            raise InputError(f"{where} holds {short_repr(value)} where a token id is expected", param=where)
    return tuple(values)


def _mixed(index: int, item: Any, wanted: str) -> InputError:
    where = f"input[{index}]"
    return InputError(f"{where} is of type {type(item).__name__}; {wanted} is expected", param=where)


def _string(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} must be a string that names a model; GET /v1/models lists them", param=name)
    return value


def _dimensions(value: Any, *, text: bool = False) -> int | None:
    if value is None:
        return None
    if text and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 9:
        return int(value)
    if type(value) is not int:
        raise InputError(f"dimensions must be an integer, not {short_repr(value)}", param="dimensions")
    return value


def _routing_key(request: Request, body: dict[str, Any]) -> str | None:
    header = request.headers.get(ROUTING_HEADER)
    if header:
        return header
    user = body.get("user")
    if user is not None and not isinstance(user, str):
        raise InputError(f"user must be a string, not of type {type(user).__name__}", param="user")
    return user or None


async def _pictures(request: Request, limits: Limits) -> tuple[list[Item], str]:
    """The encoded images of a body, and what errors call them."""
    kind = media_type(request)
    if kind == "multipart/form-data":
        return await _multipart(request, limits), "file"
    if not (kind.startswith("image/") or kind == "application/octet-stream"):
        raise MediaTypeError(
            f"content type {short_repr(kind)} is not accepted; send image/jpeg, image/png, ... or multipart/form-data with "
            "'file' parts",
            code="unsupported_media_type",
        )
    data = await read_body(request, limits)
    if not data:
        raise InputError("the body is empty; it must be one encoded image", param="body", code="empty_input")
    return [data], "body"


async def _multipart(request: Request, limits: Limits) -> list[Item]:
    body = await read_body(request, limits)

    async def replay() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        async with Request(request.scope, replay).form(
            max_files=1000, max_fields=100, max_part_size=limits.body_bytes
        ) as form:
            parts = form.getlist("file")
            return [await part.read() if isinstance(part, UploadFile) else part.encode() for part in parts]
    except (MultiPartException, FormParserError) as error:
        reason = getattr(error, "message", str(error))
        raise InputError(
            f"the multipart body cannot be read: {reason}", param="file", code="invalid_multipart"
        ) from error
    except Exception as error:
        if getattr(error, "status_code", None) == 400:  # starlette wraps parser errors in its own HTTPException
            reason = getattr(error, "detail", "")
            raise InputError(f"the multipart body cannot be read: {reason}", param="file") from error
        raise
