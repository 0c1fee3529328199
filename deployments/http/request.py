"""Reading requests: bodies within their limit, JSON, and the headers that every protocol shares."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from deployments.config.limits import Limits
from deployments.contract.items import Item
from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbedRequest
from deployments.http.middleware.auth import CLIENT
from models.errors import InputError, LimitError, MediaTypeError, SlowInputError

TIMEOUT_HEADERS = ("x-embedserve-timeout-seconds", "x-request-timeout-seconds")
MAX_TIMEOUT_S = 3600.0
PRIORITY_HEADER = "x-priority"
ROUTING_HEADER = "x-routing-key"


def media_type(request: Request) -> str:
    """The content type without its parameters, lower case; empty when absent."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        LimitError: it is longer than ``limits.body_bytes``, by its header or in fact.
        SlowInputError: it had not arrived after ``limits.body_s``.
        InputError: its Content-Length is no number.
    """
    limit = limits.body_bytes
    declared = request.headers.get("content-length")
    if declared is not None:
        if not declared.isdigit():
            raise InputError("Content-Length must be a number", code="invalid_header")
        if int(declared) > limit:
            raise LimitError(f"the body has {declared} bytes, the limit is {limit}", code="body_too_large")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise LimitError(f"the body is longer than the limit of {limit} bytes", code="body_too_large")
                chunks.append(chunk)
    except TimeoutError as error:
        message = f"the body had not arrived after {limits.body_s:g} s, of which {size} bytes came"
        raise SlowInputError(message, code="body_too_slow") from error
    except ClientDisconnect as error:
        raise InputError("the body ended early", code="incomplete_body") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_json(request: Request, limits: Limits) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        MediaTypeError: the content type is something else.
        InputError: malformed, or no object.
        LimitError: too long.
        SlowInputError: too slow.
    """
    given = media_type(request)
    if given and given != "application/json" and not given.endswith("+json"):
        raise MediaTypeError(
            f"content type {short_repr(given)} is not accepted; send application/json", code="unsupported_media_type"
        )
    return parse_json(await read_body(request, limits))


def parse_json(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        InputError: malformed, or no object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is no valid JSON: {error}", code="invalid_json") from error
    if not isinstance(document, dict):
        raise InputError("the body must be a JSON object", code="invalid_json")
    return document


def timeout_of(request: Request) -> float | None:
    """The caller's deadline in seconds, when it sent one.

    Raises:
        InputError: not a number above 0.
    """
    for name in TIMEOUT_HEADERS:
        value = request.headers.get(name)
        if value is not None:
            try:
                seconds = float(value)
            except ValueError:
                seconds = -1.0
            if not 0 < seconds <= MAX_TIMEOUT_S:
                raise InputError(
                    f"x-request-timeout-seconds must be a number above 0 and at most {MAX_TIMEOUT_S:g}, not {short_repr(value)}",
                    param="x-request-timeout-seconds",
                )
            return seconds
    return None


def routing_key_of(request: Request) -> str | None:
    """Whom A/B routing keeps with a version, where the caller says so."""
    return request.headers.get(ROUTING_HEADER) or None


def bulk_of(request: Request) -> bool:
    """Whether the caller said that nobody waits for this request.

    Raises:
        InputError: a priority that does not exist.
    """
    value = request.headers.get(PRIORITY_HEADER)
    if value is None or value == "interactive":
        return False
    if value != "bulk":
        raise InputError(f"x-priority must be 'interactive' or 'bulk', not {short_repr(value)}", param=PRIORITY_HEADER)
    return True


def embed_request(
    request: Request,
    model: str,
    items: Sequence[Item],
    *,
    key: str | None = None,
    dimensions: int | None = None,
    param: str = "input",
) -> EmbedRequest:
    """What a request comes down to: what its protocol says, and what its headers say in every protocol.

    Args:
        request: its headers name the deadline and the priority, its scope the client.
        model: name, name@version or alias.
        items: what is to be embedded.
        key: whom A/B routing keeps with a version.
        dimensions: of each vector; None for all that the model has.
        param: the field that errors name.

    Raises:
        InputError: a header is wrong.
    """
    return EmbedRequest(
        model=model,
        items=items,
        dimensions=dimensions,
        key=key,
        headers=request.headers,
        timeout_s=timeout_of(request),
        client=request.scope.get(CLIENT),
        bulk=bulk_of(request),
        param=param,
    )
