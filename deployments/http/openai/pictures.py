"""Pictures that are sent as they are: one as the body, or any number in a form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from starlette.requests import Request

from deployments.config.limits import Limits
from deployments.contract.items import Item
from deployments.contract.short_repr import short_repr
from deployments.http.fields import MEANT, PLAIN
from deployments.http.headers import header_of
from deployments.http.multipart import Part, boundary_of, parts_of
from deployments.http.request import media_type, read_body
from models.errors import InputError, MediaTypeError

FIELD = b"file"  # of a form, whose parts are pictures
KNOWN = PLAIN | MEANT
OTHERS = 5  # names of other parts that a message tells


class Pictures(NamedTuple):
    """What a body holds."""

    items: list[Item]
    param: str  # the name that errors call them by
    fields: dict[str, str]  # what a form says beside them


async def pictures_of(request: Request, limits: Limits) -> Pictures:
    """The encoded images of a body, and what it says of their vectors.

    Raises:
        MediaTypeError: it is neither an image nor a form.
        InputError: it is empty, or a form that cannot be read.
        LimitError: it is too long.
        SlowInputError: it is too slow.
    """
    given = media_type(request)
    if given == "multipart/form-data":
        return await _multipart(request, limits)
    if not (given.startswith("image/") or given == "application/octet-stream"):
        wrong = f"content type {short_repr(given)} is not accepted" if given else "the content type is missing"
        raise MediaTypeError(
            f"{wrong}; send image/jpeg, image/png, ... or multipart/form-data with 'file' parts",
            code="unsupported_media_type",
        )
    data = await read_body(request, limits)
    if not data:
        raise InputError("the body is empty; it must be one encoded image", param="body", code="empty_input")
    return Pictures([data], "body", {})


async def _multipart(request: Request, limits: Limits) -> Pictures:
    boundary = boundary_of(header_of(request, b"content-type") or "")
    parts = parts_of(await read_body(request, limits), boundary)
    files: list[Item] = [part.content for part in parts if part.name == FIELD]
    if not files and parts:
        others = ", ".join(sorted({short_repr(part.name.decode("utf-8", "replace")) for part in parts})[:OTHERS])
        raise InputError(
            f"the form has no part named 'file', but {others}; name each picture 'file'",
            param="file",
            code="empty_input",
        )
    return Pictures(files, "file", _fields(parts) if len(files) < len(parts) else {})


def _fields(parts: Iterable[Part]) -> dict[str, str]:
    """What other parts say of the vectors, as text; names that no protocol has are ignored."""
    fields: dict[str, str] = {}
    for part in parts:
        name = part.name.decode("utf-8", "replace")
        if name not in KNOWN:
            continue
        try:
            value = str(part.content, "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"the field {short_repr(name)} is no valid UTF-8", param=name) from error
        if fields.setdefault(name, value) != value:
            raise InputError(f"the form has two different fields {short_repr(name)}; send one", param=name)
    return fields
