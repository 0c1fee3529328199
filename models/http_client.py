"""The one place where this project makes HTTP clients: the environment's proxies are for the world outside.

What runs on this machine, and the nodes of a cluster, are asked directly: a proxy cannot reach them, or must not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from ssl import SSLContext
from typing import Any

import httpx2

from models.errors import UnreachableError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
UNPROXIED: dict[str, httpx2.BaseTransport | None] = {
    f"all://{f'[{host}]' if ':' in host else host}": None for host in LOOPBACK
}


PROXIES = ("http_proxy", "https_proxy", "all_proxy")
EXCEPTIONS = ("no_proxy", "NO_PROXY")  # libraries differ in which of them they read


def unproxied(environment: Mapping[str, str], addresses: Iterable[str] = ()) -> dict[str, str]:
    """Variables by which clients of other libraries ask this machine directly; none where no proxy is set.

    Args:
        environment: of a process that is about to make clients, or to start others that will.
        addresses: of this machine, beside loopback.
    """
    if not any(environment.get(name) or environment.get(name.upper()) for name in PROXIES):
        return {}
    named = [entry.strip() for name in EXCEPTIONS for entry in environment.get(name, "").split(",") if entry.strip()]
    entries = ["*"] if "*" in named else list(dict.fromkeys([*named, *LOOPBACK, *addresses]))
    return dict.fromkeys(EXCEPTIONS, ",".join(entries))


def authorities(*, trust_env: bool = True) -> SSLContext:
    """Whom clients of this process trust to say who a server is.

    Read once: it takes 20 ms, which every client would take for itself otherwise, on an event loop while all others wait.

    Args:
        trust_env: whether the environment may name a file or a folder of others.
    """
    named = (os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
    return _read(*(named if trust_env else (None, None)))


@cache
def _read(file: str | None, folder: str | None) -> SSLContext:
    return httpx2.create_ssl_context(trust_env=bool(file or folder))


def direct(**settings: Any) -> httpx2.Client:
    """A client that passes by every proxy."""
    return httpx2.Client(trust_env=False, verify=authorities(trust_env=False), **settings)


def direct_async(**settings: Any) -> httpx2.AsyncClient:
    """The same, for an event loop."""
    return httpx2.AsyncClient(trust_env=False, verify=authorities(trust_env=False), **settings)


def outward(**settings: Any) -> httpx2.Client:
    """A client that goes through the proxies that the environment names, except to this machine itself.

    Raises:
        UnreachableError: the environment names a proxy that cannot be used.
    """
    try:
        return httpx2.Client(trust_env=True, mounts=UNPROXIED, verify=authorities(), **settings)
    except (ImportError, ValueError, httpx2.InvalidURL) as error:  # SOCKS, and what is no URL of a proxy
        raise UnreachableError(
            f"the proxy that http_proxy, https_proxy or all_proxy names cannot be used ({_reason(error)}); name an HTTP "
            "proxy, http://host:port, or unset the variable"
        ) from error


def _reason(error: Exception) -> str:
    return "SOCKS proxies are not supported" if isinstance(error, ImportError) else str(error)
