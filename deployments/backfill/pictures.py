"""A picture's bytes, however a column names it."""

from __future__ import annotations

from pathlib import PurePosixPath

from deployments.backfill.storage import opened
from deployments.config.limits import Limits
from models.errors import InputError, LimitError

MOST = Limits().image_bytes
URL = ("http://", "https://")


def picture_bytes(value: object, file: str, uri: str) -> object:
    """The bytes of a picture that a column holds or names by its path; ``data:`` URIs and everything else as they are.

    Args:
        value: as the column has it.
        file: where it stands; relative paths begin in its folder.
        uri: of the source, whose filesystem paths are looked up on.

    Raises:
        InputError: there is no such file.
    """
    if not isinstance(value, str) or not value or value[:5].lower() == "data:":
        return value
    if value[:8].lower().startswith(URL):
        raise InputError(
            "pictures are not fetched by URL here; name files, or give their bytes", code="url_not_allowed"
        )
    path = str(PurePosixPath(file).parent / value)
    try:
        with opened(uri, path) as picture:
            if picture.size() > MOST:
                raise LimitError(f"the picture has {picture.size()} bytes, the limit is {MOST}")
            return bytes(picture.read())
    except OSError as error:
        raise InputError(
            f"the file {value} cannot be read: {error.strerror or 'there is none'}", code="unreadable"
        ) from error
