"""Reading requests: bodies within their limit, JSON, and the headers that every protocol shares."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request

from deployments.config.gateway import TokenVocabulary
from deployments.config.limits import Limits
from deployments.contract.header_number import decimal_number, whole_number
from deployments.contract.items import Item
from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbedRequest
from deployments.gateway.token_ids import HEADER, vocabulary_of
from deployments.http.json_fault import why_no_json
from deployments.http.json_values import refuse_many_values
from deployments.http.middleware.auth import CLIENT
from deployments.http.transfer import TRANSFER
from models.errors import ContentEncodingError, InputError, LimitError, MediaTypeError

TIMEOUT_HEADERS = (b"x-embedserve-timeout-seconds", b"x-request-timeout-seconds")
MAX_TIMEOUT_S = 3600.0
PRIORITY_HEADER = b"x-priority"
ROUTING_HEADER = b"x-routing-key"
VOCABULARY_HEADER = HEADER.encode()
JSON_NAMES = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "true or false"}


def header_of(request: Request, name: bytes) -> str | None:
    """The value of a header, the first where it was sent more than once.

    Every request is asked for six headers, most of which it lacks, and Starlette's own look-up raises an exception for each.
    """
    for key, value in request.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def media_type(request: Request) -> str:
    """The content type without its parameters, lower case; empty when absent."""
    return (header_of(request, b"content-type") or "").partition(";")[0].strip().lower()


def refuse_encoded(request: Request) -> None:
    """Refuse a compressed body: what it unpacks to is known too late, and texts and pictures are small as they are.

    Raises:
        ContentEncodingError: Content-Encoding names another coding than ``identity``.
    """
    coding = header_of(request, b"content-encoding")
    if coding and coding.strip().lower() != "identity":
        raise ContentEncodingError(
            f"content-encoding {short_repr(coding)} is not accepted; accepted is 'identity': send the body uncompressed",
            code="unsupported_content_encoding",
        )


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        ContentEncodingError: it is compressed.
        LimitError: it is longer than ``limits.body_bytes``, or its Content-Length says so.
        SlowInputError: it comes too slowly, as ``Transfer`` sees it.
        InputError: its Content-Length is no number, or it ended early.
    """
    refuse_encoded(request)
    limit = limits.body_bytes
    declared = header_of(request, b"content-length")
    if declared is not None:
        length = whole_number(declared)
        if length is None:
            raise InputError("Content-Length must be a number", code="invalid_header")
        if length > limit:
            raise LimitError(f"the body has {declared} bytes, the limit is {limit}", code="body_too_large")
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise LimitError(f"the body is longer than the limit of {limit} bytes", code="body_too_large")
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise InputError("the body ended early", code="incomplete_body") from error
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def read_json(request: Request, limits: Limits) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        MediaTypeError: the content type is something else.
        InputError: it is malformed, or no object.
        LimitError: it is too long, or holds too many values.
        SlowInputError: it is too slow.
    """
    given = media_type(request)
    if given and given != "application/json" and not given.endswith("+json"):
        raise MediaTypeError(
            f"content type {short_repr(given)} is not accepted; send application/json", code="unsupported_media_type"
        )
    return parse_json(await read_body(request, limits), limits)


def parse_json(body: bytes, limits: Limits) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        InputError: malformed, or no object.
        LimitError: it holds more values than any request has use for.
    """
    refuse_many_values(body, limits)
    body = body.removeprefix(codecs.BOM_UTF8)  # RFC 8259 lets a parser ignore one
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is no valid JSON: {why_no_json(body, error)}", code="invalid_json") from error
    if not isinstance(document, dict):
        given = JSON_NAMES.get(type(document), "null")
        raise InputError(f"the body must be a JSON object, {{...}}, and is {given}", code="invalid_json")
    return document


def timeout_of(request: Request) -> float | None:
    """The caller's deadline in seconds, when it sent one.

    Raises:
        InputError: it is no number above 0, or above an hour.
    """
    for name in TIMEOUT_HEADERS:
        value = header_of(request, name)
        if value is not None:
            seconds = decimal_number(value)
            if seconds is None or not 0 < seconds <= MAX_TIMEOUT_S:
                raise InputError(
                    f"x-request-timeout-seconds must be a number above 0 and at most {MAX_TIMEOUT_S:g}, not {short_repr(value)}",
                    param="x-request-timeout-seconds",
                )
            return seconds
    return None


def routing_key_of(request: Request) -> str | None:
    """The key whose requests A/B routing sends to one version always, when the caller sent one."""
    return header_of(request, ROUTING_HEADER) or None


def bulk_of(request: Request) -> bool:
    """Whether the caller said that nobody waits for this request.

    Raises:
        InputError: a priority that does not exist.
    """
    value = header_of(request, PRIORITY_HEADER)
    if value is None or value == "interactive":
        return False
    if value != "bulk":
        raise InputError(f"x-priority must be 'interactive' or 'bulk', not {short_repr(value)}", param="x-priority")
    return True


def token_vocabulary_of(request: Request) -> TokenVocabulary | None:
    """Whose token ids a request holds, when it says so.

    Raises:
        InputError: a vocabulary that does not exist.
    """
    value = header_of(request, VOCABULARY_HEADER)
    return None if value is None else vocabulary_of(value)


def embed_request(
    request: Request,
    model: str,
    items: Sequence[Item],
    *,
    key: str | None = None,
    dimensions: int | None = None,
    param: str = "input",
) -> EmbedRequest:
    """A request as the gateway takes it: what its protocol says, and what headers say in every protocol.

    Args:
        request: its headers name the deadline and the priority, its scope the client.
        model: name, name@version or alias.
        items: what is to be embedded.
        key: A/B routing sends all requests of one key to one version.
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
        vocabulary=token_vocabulary_of(request),
        room=transfer.expect if (transfer := request.scope.get(TRANSFER)) is not None else None,
    )
