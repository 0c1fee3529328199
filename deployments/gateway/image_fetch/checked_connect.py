"""Connections to hosts that clients name: the name is resolved once, and the address that was checked is connected to.

So DNS rebinding does not help: a name that resolves to another address a moment later changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

import httpcore2

from deployments.config.fetch import Fetch
from deployments.gateway.image_fetch.public_addresses import is_public
from models.errors import InputError

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
ADDRESSES_TRIED = 2  # addresses of a host: the second is for a first that is down


class CheckedBackend(httpcore2.AnyIOBackend):
    """Connects to an address only after checking that it is public or allowed."""

    def __init__(self, resolve: Resolve, config: Fetch, where: str) -> None:
        """Resolve names with ``resolve``; errors name the field ``where``."""
        self._resolve, self._config, self._where = resolve, config, where

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve a host, check its addresses and connect to one of them.

        Raises:
            InputError: the host has no address that may be reached.
        """
        first, *others = await self._addresses(host, port)
        try:
            return await super().connect_tcp(first, port, timeout, local_address, socket_options)
        except httpcore2.ConnectError:
            if not others:
                raise
        return await super().connect_tcp(others[0], port, timeout, local_address, socket_options)

    async def _addresses(self, host: str, port: int) -> list[str]:
        """The first addresses of a host, if all of its addresses may be reached: a public name has no private one.

        A name that does not resolve gets the same error, so that clients cannot find out which internal names exist.
        """
        try:
            found = [host] if _is_address(host) else await self._resolve(host, port)
            addresses = [ip_address(text) for text in found]
        except (OSError, UnicodeError, ValueError):
            addresses = []
        allowed = self._config.addresses
        if not addresses or not all(is_public(a) or any(a in network for network in allowed) for a in addresses):
            raise InputError(
                f"{self._where}: the URL's host has no address that may be reached",
                param=self._where,
                code="url_not_allowed",
            )
        return [str(address) for address in addresses[:ADDRESSES_TRIED]]

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        """Refuse: a URL never leads to a Unix socket."""
        raise NotImplementedError("images come over TCP")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
