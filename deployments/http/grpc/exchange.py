"""One call as a request to the gateway's HTTP application, in this process and without a socket."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Message, Scope

from deployments.observability import request_id

Metadata = Iterable[tuple[str, str | bytes]]
Headers = list[tuple[bytes, bytes]]
# What describes the message itself, which is not what the request's body will be.
OWN: Final = frozenset(
    ["content-type", "content-length", "content-encoding", "transfer-encoding", "te", "inference-header-content-length"]
)
ID: Final = request_id.HEADER.decode()
LONGEST_S: Final = 3600.0  # that a request may ask for; gRPC says years where a call has no deadline
SHORTEST_S: Final = 0.001
DEADLINE: Final = b"x-request-timeout-seconds"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the HTTP application."""

    status: int
    headers: dict[str, str]
    body: bytes


class Caller:
    """Who calls: what it sent beside its message, from where, and how long it waits."""

    def __init__(self, metadata: Metadata, peer: str = "", remaining_s: float | None = None) -> None:
        """Take a call's metadata, its peer as gRPC spells it, and the seconds until its deadline."""
        self.headers = headers_of(metadata, remaining_s)
        self.id = next(value for name, value in self.headers if name == request_id.HEADER).decode("latin-1")
        self.client = client_of(peer)

    async def ask(
        self, app: ASGIApp, method: str, path: str, body: Callable[[], Awaitable[bytes]], more: Sequence[Any] = ()
    ) -> Reply:
        """Ask ``app``. ``body`` is called when the layers before it let the request pass; ``more`` are further headers."""
        read = False
        status, headers = 500, {}
        parts: list[bytes] = []

        async def receive() -> Message:
            nonlocal read
            if read:
                return {"type": "http.disconnect"}
            content = await body()
            read = True
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
            else:
                parts.append(message.get("body", b""))

        await app(self._scope(method, path, more), receive, send)
        headers[ID] = self.id  # the layers leave it to whoever named the request
        return Reply(status, headers, parts[0] if len(parts) == 1 else b"".join(parts))

    def _scope(self, method: str, path: str, more: Sequence[Any]) -> Scope:
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "2",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [*self.headers, *more],
            "client": self.client,
            "server": None,
        }


def headers_of(metadata: Metadata, remaining_s: float | None = None) -> Headers:
    """Metadata as HTTP has them; a deadline of the call goes where the caller set none in words."""
    found = [
        (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in metadata
        if isinstance(value, str) and name not in OWN
    ]
    kept = [(k, v) for k, v in found if k != request_id.HEADER or request_id.VALID.match(v)]
    if not any(name == request_id.HEADER for name, _ in kept):
        kept.append((request_id.HEADER, request_id.random_id()))
    if remaining_s is not None and remaining_s < LONGEST_S and not any(name == DEADLINE for name, _ in kept):
        kept.append((DEADLINE, b"%.3f" % max(remaining_s, SHORTEST_S)))
    return kept


def client_of(peer: str) -> tuple[str, int] | None:
    """An address as ASGI has it, of ``ipv4:127.0.0.1:5000`` or ``ipv6:%5B::1%5D:5000``."""
    host, _, port = peer.partition(":")[2].rpartition(":")
    try:
        return str(ipaddress.ip_address(host.removeprefix("%5B").removesuffix("%5D"))), int(port)
    except ValueError:
        return None
