"""Pictures' bytes, however a column names them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import PurePosixPath

from deployments.backfill.sources.base import Read
from deployments.backfill.storage import opened
from deployments.config.fetch import Fetch
from deployments.config.limits import Limits
from deployments.gateway.image_fetch.fetcher import Fetcher, is_url
from models.errors import EmbedserveError, InputError, LimitError

LIMITS = Limits()
TRIES = 2  # of a URL: a server that is restarted answers the second


def pictures_of(read: Read, base: str | None, fetch: Fetch | None) -> list[object]:
    """The values of a block with each path and URL replaced by a picture's bytes, or by the ``InputError`` that it leads to.

    Args:
        read: the block.
        base: the URI of the source on whose filesystem paths are looked up, relative to the row's file; None: it has no files.
        fetch: which URLs are fetched; None: none.
    """
    urls = [str(value) for value in read.values if isinstance(value, str) and is_url(value)]
    fetched = dict(zip(urls, _fetched(urls, fetch), strict=True))
    return [
        fetched[value] if isinstance(value, str) and value in fetched else _from_file(value, read.slice.file, base)
        for value in read.values
    ]


def _fetched(urls: Sequence[str], fetch: Fetch | None) -> Sequence[object]:
    if fetch is None or not urls:
        refusal = InputError("pictures are fetched by URL with --fetch-rules only", code="url_not_allowed")
        return [refusal] * len(urls)

    async def all_of_them() -> list[object]:
        fetcher = Fetcher()
        return list(await asyncio.gather(*(_fetch(fetcher, url, fetch) for url in urls)))

    return asyncio.run(all_of_them())


async def _fetch(fetcher: Fetcher, url: str, fetch: Fetch) -> object:
    for attempt in range(1, TRIES + 1):
        try:
            (found,) = await fetcher.replace([url], "the value", fetch, LIMITS)
        except InputError as error:
            if error.code != "url_not_fetched" or attempt == TRIES:
                return error
        else:
            return found
    return None


def _from_file(value: object, file: str, base: str | None) -> object:
    """The bytes of a picture that is named by its path; ``data:`` URIs and everything else as they are."""
    if not isinstance(value, str) or not value or value[:5].lower() == "data:":
        return value
    if base is None:
        return InputError("a database has no folder for paths; give bytes, data: URIs or URLs", code="wrong_type")
    path = str(PurePosixPath(file).parent / value)
    try:
        with opened(base, path) as picture:
            if picture.size() > LIMITS.image_bytes:
                return LimitError(f"the picture has {picture.size()} bytes, the limit is {LIMITS.image_bytes}")
            return bytes(picture.read())
    except OSError as error:
        return InputError(f"the file {value} cannot be read: {error.strerror or 'there is none'}", code="unreadable")
    except EmbedserveError as error:
        return InputError(str(error), code="unreadable")
