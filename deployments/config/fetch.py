"""Which pictures the gateway may fetch by URL."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import Field

from deployments.config.base import Strict


class Fetch(Strict):
    """Images that clients name by URL. Without this mapping the gateway fetches nothing."""

    # Names, `*.example.com` for all names below one, or `*`: then clients choose whom the gateway calls on.
    hosts: Annotated[
        tuple[Annotated[str, Field(pattern=r"^(\*|(\*\.)?[a-z0-9:]([a-z0-9.:-]*[a-z0-9])?)$")], ...],
        Field(min_length=1),
    ]
    http: bool = False  # whoever sits on the way reads and changes what comes without TLS
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443, 80)  # others are rarely pictures, often machinery
    addresses: tuple[IPv4Network | IPv6Network, ...] = ()  # networks allowed although they are not public
    redirects: Annotated[int, Field(ge=0, le=10)] = 3  # to https, to a CDN, to the picture
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0  # for all of it, redirects too; users wait meanwhile
    at_once: Annotated[int, Field(ge=1, le=1000)] = 16  # fetches of a gateway replica; each may hold limits.image_bytes
    per_request: Annotated[int, Field(ge=1)] = 32  # one request must not set the gateway upon a stranger
