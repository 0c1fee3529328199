"""Fetches images that clients name by URL, from the hosts that the operator allows.

Every redirect is checked as the first URL was: scheme, host, port, and the addresses that the host resolves to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ssl import SSLContext

import httpcore2
import httpx2

from deployments.config.fetch import Fetch
from deployments.config.limits import Limits
from deployments.contract.header_number import whole_number
from deployments.contract.items import Item
from deployments.gateway.image_fetch.checked_connect import CheckedBackend, Resolve
from deployments.gateway.image_fetch.system_resolver import SystemResolver
from deployments.gateway.image_fetch.url import Target, parse
from models.errors import InputError, LimitError
from models.http_client import authorities

REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Nothing of the client's request is passed on. No compression, so that a body has the size that was counted.
HEADERS: dict[bytes | str, bytes | str] = {
    "User-Agent": "embedserve",
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


def is_url(item: Item) -> bool:
    """Whether an input is an HTTP URL."""
    return isinstance(item, str) and item[:8].lower().startswith(("http://", "https://"))


class Fetcher:
    """Fetches the images of requests, at most ``at_once`` at a time."""

    def __init__(self, resolve: Resolve | None = None, context: SSLContext | None = None) -> None:
        """Use the system's resolver and certificate authorities, unless others are given."""
        self._resolve = resolve or SystemResolver()
        self._context = authorities() if context is None else context
        self._slots = asyncio.Semaphore(1)
        self._config: Fetch | None = None

    async def replace(self, items: Sequence[Item], param: str, config: Fetch, limits: Limits) -> list[Item]:
        """The items of a request, with each URL replaced by the encoded image that it leads to.

        Args:
            items: inputs for an image model.
            param: the field that errors name.
            config: what may be fetched.
            limits: ``image_bytes`` bounds each image, ``body_bytes`` all images of the request together.

        Raises:
            InputError: a URL is not allowed, or does not lead to an image.
            LimitError: too many URLs, or too many bytes.
        """
        urls = {item: f"{param}[{i}]" if len(items) > 1 else param for i, item in enumerate(items) if is_url(item)}
        if not urls:
            return list(items)
        if len(urls) > config.per_request:
            raise LimitError(f"{param} names {len(urls)} URLs, the limit is {config.per_request}", param=param)
        if config != self._config:
            self._config, self._slots = config, asyncio.Semaphore(config.at_once)
        budget = _Budget(limits)
        tasks = {url: asyncio.ensure_future(self._one(str(url), where, budget)) for url, where in urls.items()}
        try:
            await asyncio.gather(*tasks.values())
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return [tasks[item].result() if item in tasks else item for item in items]

    async def _one(self, url: str, where: str, budget: _Budget) -> bytes:
        config, slots = self._config, self._slots
        assert config is not None
        async with slots:
            try:
                async with asyncio.timeout(config.timeout_s):
                    return await self._follow(url, where, config, budget)
            except (TimeoutError, httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
                raise _unreachable(where, f"could not be fetched within {config.timeout_s:g} s") from error

    async def _follow(self, url: str, where: str, config: Fetch, budget: _Budget) -> bytes:
        for _ in range(config.redirects + 1):
            target = parse(url, config, where)
            backend = CheckedBackend(self._resolve, config, where)
            async with httpcore2.AsyncConnectionPool(ssl_context=self._context, network_backend=backend) as pool:
                request = pool.stream("GET", _core_url(target), headers={"Host": target.authority, **HEADERS})
                async with request as response:
                    location = _location(response)
                    if location is None:
                        return await _body(response, where, budget)
                    url = _joined(target.url, location, where)
        raise _unreachable(where, f"redirects more than {config.redirects} times")


class _Budget:
    """Counts the bytes of a request's images against the limits of one image and of all together."""

    def __init__(self, limits: Limits) -> None:
        self._image, self._all, self._left = limits.image_bytes, limits.body_bytes, limits.body_bytes

    def count(self, size: int, more: int, where: str) -> None:
        """Count ``more`` bytes of an image, of which ``size`` bytes have now arrived.

        Raises:
            LimitError: the image, or all of them together, are too large.
        """
        self._left -= more
        if size > self._image:
            raise LimitError(f"{where}: the image has more than {self._image} bytes, which is the limit", param=where)
        if self._left < 0:
            raise LimitError(f"{where}: the images have more than {self._all} bytes together", param=where)


def _core_url(target: Target) -> httpcore2.URL:
    return httpcore2.URL(
        scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode("ascii")
    )


def _header(response: httpcore2.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


def _location(response: httpcore2.Response) -> str | None:
    return _header(response, b"location") if response.status in REDIRECTS else None


def _joined(base: str, location: str, where: str) -> str:
    try:
        return str(httpx2.URL(base).join(location))
    except (httpx2.InvalidURL, ValueError):
        raise _unreachable(where, "redirects to what is no URL") from None


async def _body(response: httpcore2.Response, where: str, budget: _Budget) -> bytes:
    if response.status != 200:
        raise _unreachable(where, f"answered with status {response.status}")
    content_type = _header(response, b"content-type").partition(";")[0].strip().lower()
    if not content_type.startswith("image/"):
        raise _unreachable(where, f"answered with content type {content_type!r:.40}, which is no image")
    if _header(response, b"content-encoding").strip().lower() not in ("", "identity"):
        raise _unreachable(where, "answered with a compressed body, which was not asked for")
    length = whole_number(_header(response, b"content-length"))
    if length is not None:
        budget.count(length, 0, where)
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_stream():
        size += len(chunk)
        budget.count(size, len(chunk), where)
        chunks.append(chunk)
    return b"".join(chunks)


def _unreachable(where: str, reason: str) -> InputError:
    return InputError(f"{where}: the URL {reason}", param=where, code="url_not_fetched")
