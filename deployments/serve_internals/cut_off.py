"""The connection of a large answer: the system keeps little of what its client does not read, and it can end at once.

By itself the system takes up to 4 MB of an answer, so that nobody sees that it is not read; and a server closes a connection when
all of that is read, which a slow client puts off for ever.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from starlette.types import Scope, Send

from deployments.serve_internals.seams import SEAMS

SENDER: Final = "embedserve.sender"  # where the hook leaves the server's ``send`` in a scope
KEPT_BYTES: Final = 65536  # Linux doubles it; more than HAProxy takes at once


def note(scope: Scope, send: Send) -> None:
    """Remember how a request is answered."""
    scope[SENDER] = send


def forget(scope: Scope) -> None:
    """Let scope and server's object go, which hold each other: left to the collector of cycles, they cost 5 µs a request."""
    scope.pop(SENDER, None)


def arrived(scope: Scope) -> bool:
    """Whether all of a request is there already, so that nobody has to wait for its client."""
    cycle = _cycle(scope)
    return cycle is not None and not cycle.more_body


def keep_little(scope: Scope) -> None:
    """Let the system hold no more than ``KEPT_BYTES`` for the client of a request from now on."""
    transport = _transport(scope)
    connection = transport and transport.get_extra_info("socket")
    if connection is not None:
        SEAMS.uses["cut_off"] += 1
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KEPT_BYTES)


def pause(scope: Scope) -> None:
    """Read nothing for a request until it is resumed, or the application asks for more of it."""
    cycle = _cycle(scope)
    if cycle is not None and not cycle.transport.is_closing():
        cycle.flow.pause_reading()


def resume(scope: Scope) -> None:
    """Read what comes for a request again."""
    cycle = _cycle(scope)
    if cycle is not None and not cycle.transport.is_closing():
        cycle.flow.resume_reading()


def cut_off(scope: Scope) -> None:
    """End the connection of a request."""
    if (transport := _transport(scope)) is not None:
        transport.abort()


def _transport(scope: Scope) -> Any:
    """What uvicorn writes to; None while the seam is off, and where the server is another."""
    return getattr(_cycle(scope), "transport", None)


def _cycle(scope: Scope) -> Any:
    """Uvicorn's object for a request."""
    return getattr(scope.get(SENDER), "__self__", None) if SEAMS.on("cut_off") else None
