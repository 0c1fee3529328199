"""Pictures that are sent as they are: one as the body, or any number in a form."""

from __future__ import annotations

from typing import Any

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from deployments.config.limits import Limits
from deployments.contract.items import Item
from deployments.contract.short_repr import short_repr
from deployments.http.request import media_type, read_body
from models.errors import InputError, MediaTypeError


async def pictures_of(request: Request, limits: Limits) -> tuple[list[Item], str]:
    """The encoded images of a body, and the name that errors call them by.

    Raises:
        MediaTypeError: it is neither an image nor a form.
        InputError: it is empty, or a form that cannot be read.
        LimitError: it is too long.
        SlowInputError: it is too slow.
    """
    given = media_type(request)
    if given == "multipart/form-data":
        return await _multipart(request, limits), "file"
    if not (given.startswith("image/") or given == "application/octet-stream"):
        raise MediaTypeError(
            f"content type {short_repr(given)} is not accepted; send image/jpeg, image/png, ... or multipart/form-data with "
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
    except (MultiPartException, FormParserError, HTTPException) as error:
        reason = getattr(error, "message", None) or getattr(error, "detail", None) or error
        message = f"the multipart body cannot be read: {reason}"
        raise InputError(message, param="file", code="invalid_multipart") from error
