"""URLs that clients send: parsed once, checked part by part, and rebuilt from the checked parts.

What is requested is the rebuilt URL, so that no second parser can read the client's text differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import httpx2

from deployments.config.fetch import Fetch
from models.errors import InputError

LONGEST = 4096  # characters; what is longer is data rather than an address
PRINTABLE = re.compile(r"^[\x21-\x5b\x5d-\x7e]+")  # ASCII without space and backslash, about which parsers disagree
NAME = re.compile(r"^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
NUMBER = re.compile(r"^(\d+|0x[0-9a-f]*)")  # part of an IPv4 address in an old notation, such as 0x7f.1
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """The checked parts of a URL."""

    scheme: str
    host: str  # a lower-case name in ASCII, or an address in its usual notation
    port: int
    path: str  # with the query

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them; the scheme's own port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL, rebuilt from its checked parts."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse(text: str, config: Fetch, where: str) -> Target:
    """Check what a URL says, before its host is resolved.

    Args:
        text: the URL as the client wrote it.
        config: what may be fetched.
        where: the field that errors name.

    Raises:
        InputError: it is malformed, or its scheme, host or port is not allowed.
    """
    if len(text) > LONGEST or not PRINTABLE.fullmatch(text):
        raise _refused(where, "is too long, or holds a character that must be percent-encoded")
    try:
        url = httpx2.URL(text)
        host = _host(url.raw_host.decode("ascii"))
    except (httpx2.InvalidURL, ValueError):
        raise _refused(where, "has no valid host") from None
    if url.scheme not in (("https", "http") if config.http else ("https",)):
        raise _refused(where, "is not https (fetch.http allows http)" if not config.http else "is not http or https")
    if url.userinfo or "@" in text.partition("://")[2].partition("/")[0]:
        raise _refused(where, "holds a user name")
    if not any(_matches(host, pattern) for pattern in config.hosts):
        raise _refused(where, "has a host that is not listed (fetch.hosts)")
    port = PORTS[url.scheme] if url.port is None else url.port
    if port not in config.ports:
        raise _refused(where, "has a port that is not listed (fetch.ports)")
    return Target(url.scheme, host, port, url.raw_path.decode("ascii") or "/")


def _host(host: str) -> str:
    """A host in lower case and without a final dot; an address in its usual notation.

    Raises:
        ValueError: it is neither a name nor an address in its usual notation.
    """
    if ":" in host:
        return str(IPv6Address(host)) if "%" not in host else _no_host()
    name = host.lower().removesuffix(".")
    if NUMBER.fullmatch(name.rpartition(".")[2]):
        return str(IPv4Address(name))
    return name if NAME.fullmatch(name) else _no_host()


def _no_host() -> str:
    raise ValueError("no host")


def _matches(host: str, pattern: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _refused(where: str, reason: str) -> InputError:
    return InputError(f"{where}: the URL {reason}", param=where, code="url_not_allowed")
