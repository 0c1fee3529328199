"""URLs that clients send: parsed by one parser, checked part by part, and put together again from the parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import httpx2

from deployments.config.fetch import Fetch
from models.errors import InputError

LONGEST = 4096  # characters; longer ones are data in disguise
PRINTABLE = re.compile(r"^[\x21-\x5b\x5d-\x7e]+$")  # ASCII without space and backslash, about which parsers disagree
NAME = re.compile(r"^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$")
NUMBER = re.compile(r"^(\d+|0x[0-9a-f]*)$")  # what resolvers take for part of an IPv4 address in its old notations
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    scheme: str
    host: str  # a name in ASCII, or an address in its plain notation
    port: int
    path: str  # with its query

    @property
    def authority(self) -> str:
        """The value of a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL again, of its checked parts alone."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse(text: str, config: Fetch, where: str) -> Target:
    """Check all of a URL that can be checked without asking anybody.

    Raises:
        InputError: it is malformed, or its scheme, host or port is not allowed.
    """
    if len(text) > LONGEST or not PRINTABLE.match(text):
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
    """A host in its one plain form.

    Raises:
        ValueError: it is no name, and no address in plain notation.
    """
    if ":" in host:
        return str(IPv6Address(host)) if "%" not in host else _no_host()
    name = host.lower().removesuffix(".")
    if NUMBER.match(name.rpartition(".")[2]):
        return str(IPv4Address(name))
    return name if NAME.match(name) else _no_host()


def _no_host() -> str:
    raise ValueError("no host")


def _matches(host: str, pattern: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _refused(where: str, reason: str) -> InputError:
    return InputError(f"{where}: the URL {reason}", param=where, code="url_not_allowed")
