"""Reading requests: bodies within their limit, JSON, and the headers that every protocol shares."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

import orjson
from starlette.requests import Request

from deployments.config.gateway import TokenVocabulary
from deployments.config.limits import Limits
from deployments.contract.header_number import whole_number
from deployments.contract.items import Item
from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbedRequest
from deployments.http.fields import AS_USUAL, Wanted
from deployments.http.headers import bulk_of, has_rare, header_of, timeout_of, token_vocabulary_of, truncates
from deployments.http.inflate import inflated, refuse_unknown
from deployments.http.json_fault import why_no_json
from deployments.http.json_values import refuse_many_values
from deployments.http.middleware.auth import CLIENT
from deployments.http.transfer import TRANSFER
from deployments.http.transfers import SMALL
from models.errors import InputError, LimitError, MediaTypeError

JSON_NAMES = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "true or false"}


def media_type(request: Request) -> str:
    """The content type without its parameters, lower case; empty when absent."""
    return (header_of(request, b"content-type") or "").partition(";")[0].strip().lower()


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        ContentEncodingError: it is compressed in a way that is not known here.
        LimitError: it is longer than ``limits.body_bytes``, or its Content-Length says so, or what it unpacks to is.
        SlowInputError: it comes too slowly, as ``Transfer`` sees it.
        InputError: its Content-Length is no number, or it ended early.
    """
    coding = refuse_unknown(header_of(request, b"content-encoding"))
    limit = limits.body_bytes
    declared = header_of(request, b"content-length")
    if declared is not None:
        length = whole_number(declared)
        if length is None:
            raise InputError("Content-Length must be a number", code="invalid_header")
        if length > limit:
            raise LimitError(f"the body has {declared} bytes, the limit is {limit}", code="body_too_large")
        if length > SMALL and (transfer := request.scope.get(TRANSFER)) is not None:
            transfer.declared = length
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:  # not Starlette's stream, which takes three times as long for a body that comes at once
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise InputError("the body ended early", code="incomplete_body")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise LimitError(f"the body is longer than the limit of {limit} bytes", code="body_too_large")
        chunks.append(chunk)
        more = message.get("more_body", False)
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return body if coding is None or not body else await _unpacked(request, body, coding, limit)


async def _unpacked(request: Request, body: bytes, coding: str, limit: int) -> bytes:
    content = await inflated(body, coding, limit)
    transfer = request.scope.get(TRANSFER)
    if transfer is not None and len(content) > SMALL:
        transfer.unpacked(len(content))
    return content


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


def embed_request(
    request: Request,
    model: str,
    items: Sequence[Item],
    wanted: Wanted = AS_USUAL,
    *,
    key: str | None = None,
    param: str = "input",
    vocabulary: TokenVocabulary | None = None,
) -> EmbedRequest:
    """A request as the gateway takes it: what its protocol says, and what headers say in every protocol.

    Args:
        request: its headers name the deadline and the priority, its scope the client.
        model: name, name@version or alias.
        items: what is to be embedded.
        wanted: what it says of its vectors.
        key: A/B routing sends all requests of one key to one version.
        param: the field that errors name.
        vocabulary: whose token ids its protocol sends, where no header says it.

    Raises:
        InputError: a header is wrong.
    """
    rare = has_rare(request)
    return EmbedRequest(
        model=model,
        items=items,
        dimensions=wanted.dimensions,
        key=key,
        headers=request.headers,
        timeout_s=timeout_of(request) if rare else None,
        client=request.scope.get(CLIENT),
        bulk=rare and bulk_of(request),
        param=param,
        truncate=wanted.truncate is not False and not (rare and not truncates(request)),
        prompt=wanted.prompt,
        kind=wanted.kind,
        modality=wanted.modality,
        modalities=wanted.modalities,
        normalize=wanted.normalize,
        vocabulary=(rare and token_vocabulary_of(request)) or vocabulary,
        room=transfer.expect if (transfer := request.scope.get(TRANSFER)) is not None else None,
    )
