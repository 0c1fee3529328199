"""Where a service may listen, as `http_options.host` says it, and the URLs at which it then answers."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from typing import Any

from models.errors import ConfigError

EVERY_IPV4, EVERY = "0.0.0.0", "::"
LOOPBACK = ("127.0.0.1", "localhost")
# Serve's template for HAProxy writes "::" as "*", which is IPv4 alone, and other spellings as they are. HAProxy takes the
# first address that a name has, replicas the first of IPv4.
SPELLINGS = {EVERY: "::0", "localhost": "127.0.0.1"}
ALLOWED = (EVERY_IPV4, *LOOPBACK, *dict.fromkeys((EVERY, SPELLINGS[EVERY])))


def check_host(host: Any, where: str) -> None:
    """Refuse an address on which a service would start and never be ready.

    HAProxy asks the replicas of its own node at 127.0.0.1, and they listen where HAProxy does.

    Raises:
        ConfigError: names the addresses that are left.
    """
    if host is None or host in ALLOWED:
        return
    raise ConfigError(
        f"{where}: host {host!r} cannot be used: HAProxy asks the replicas of its node at 127.0.0.1, where they would not "
        f"listen. Allowed: 127.0.0.1 (this machine alone), 0.0.0.0 (every IPv4 address), '::' (every address, of IPv6 too)"
    )


def spelled(document: dict[str, Any]) -> dict[str, Any]:
    """A configuration with its host in the spelling that has this meaning to Serve."""
    options = document.get("http_options") or {}
    spelling = SPELLINGS.get(str(options.get("host")))
    return document if spelling is None else {**document, "http_options": {**options, "host": spelling}}


def entrances(host: str, port: int, nodes: Iterable[str]) -> list[str]:
    """Base URLs at which a service on ``host`` may answer this machine.

    Args:
        host: as the configuration says it.
        port: of the service.
        nodes: addresses of the nodes that run it.
    """
    hosts = ["127.0.0.1"] if host in LOOPBACK else list(nodes)
    return [f"http://{f'[{one}]' if ':' in one else one}:{port}" for one in hosts]


def require_port(port: int) -> None:
    """Refuse what is no port.

    Raises:
        ConfigError: says what is one.
    """
    if not 1 <= port <= 65535:
        raise ConfigError(f"the port must be from 1 to 65535, not {port}")


def refusal(host: str, port: int) -> str | None:
    """Why this machine lets nobody listen there, and what would be right; None where it does."""
    spelling = SPELLINGS.get(host, host)
    family = socket.AF_INET6 if ":" in spelling else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((spelling, port))
    except OSError as error:
        return f"cannot listen on {host}, port {port}: {error.strerror}; {_remedy(error.errno, port)}"
    return None


def _remedy(number: int | None, port: int) -> str:
    if number in (errno.EACCES, errno.EPERM):
        return f"ports below 1024 are the administrator's; choose another one, such as {port + 8000}"
    if number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
        return "this machine has no IPv6; write host: 0.0.0.0"
    if number == errno.EADDRINUSE:
        return f"another program listens there; choose another port, such as {port + 1}"
    return "choose another host or port"
