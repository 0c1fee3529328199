"""Which pictures the gateway may fetch by URL."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import Field

from deployments.config.base import Strict


class Fetch(Strict):
    """Images that clients name by URL. Without this mapping the gateway fetches nothing."""

    # Exact names, `*.example.com` for all names below one, or `*` for any: then clients choose whom the gateway calls.
    hosts: Annotated[
        tuple[Annotated[str, Field(pattern=r"^(\*|(\*\.)?[a-z0-9:]([a-z0-9.:-]*[a-z0-9])?)$")], ...],
        Field(min_length=1),
    ]
    http: bool = False  # without TLS, anybody on the way can read and change the image
    # HTTPS and HTTP; other ports rarely serve images, often internal services.
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443, 80)
    # Networks that may be reached although they are not public; none: a private network is not for clients.
    addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    redirects: Annotated[int, Field(ge=0, le=10)] = 3  # one to https, one to a CDN, one to the image
    # For all of it, redirects included; the client waits meanwhile.
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    # Fetches of one gateway; each may hold limits.image_bytes in memory.
    at_once: Annotated[int, Field(ge=1, le=1000)] = 16
    per_request: Annotated[int, Field(ge=1)] = 32  # URLs; one request must not make the gateway flood somebody's server
