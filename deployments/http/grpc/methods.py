"""What each call asks the HTTP application, and what its answer says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc
import orjson
from google.protobuf import json_format  # type: ignore[import-untyped]
from starlette.types import ASGIApp

from deployments.http.grpc.exchange import Caller, Reply
from deployments.http.grpc.infer import infer_answer, infer_body, infer_path
from deployments.http.grpc.protocol import EMPTY, INFERENCE, REFUSED, message
from deployments.http.kserve_v2.tensors import HEADER_LENGTH
from models.errors import EmbedserveError

Code: TypeAlias = grpc.StatusCode
CODES: Final = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    405: Code.UNIMPLEMENTED,
    408: Code.DEADLINE_EXCEEDED,
    413: Code.INVALID_ARGUMENT,  # not RESOURCE_EXHAUSTED: clients try that again
    415: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}
# Of an answer's headers: what is told behind every answer. They are named as in HTTP.
TOLD: Final = ("x-request-id", "x-cache", "x-truncated", "x-truncated-by", "retry-after", "www-authenticate")
PUSHBACK: Final = "grpc-retry-pushback-ms"  # when gRPC's own retries come again
DETAILS: Final = 2000  # characters; gRPC's clients take 8 KiB of metadata


class CallError(Exception):
    """A call is answered with a status that is not OK."""

    def __init__(self, code: Code, details: str) -> None:
        """Say the status and why."""
        super().__init__(details)
        self.code, self.details = code, details[:DETAILS]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gets: a message, or a status that is not OK; and what is told behind it."""

    message: Any
    trailing: tuple[tuple[str, str], ...] = ()
    code: Code = Code.OK
    details: str = ""


UNREAD: Final = "/v2/models/-/infer"  # where a call goes whose message, and with it the model's name, nobody has read
Body = Callable[[], Awaitable[bytes]]
Read = Callable[[], Awaitable[Any]]  # gives the message of a call when it is there


async def infer(app: ASGIApp, caller: Caller, read: Read, *, refused: bool) -> Answer:
    """Embed the items of a ``ModelInferRequest``.

    Args:
        app: the gateway's.
        caller: who asks.
        read: gives the message.
        refused: nobody need read it, since the layers before the body will refuse the call.
    """
    path, extra = UNREAD, []
    body: Body = _nothing
    if not refused:
        try:
            request = await read()
        except EmbedserveError as error:
            body = _raising(error)
        else:
            content, head = infer_body(request)
            path, extra, body = infer_path(request), [(HEADER_LENGTH.encode(), b"%d" % head)], _giving(content)
    return _answer(await caller.ask(app, "POST", path, body, extra), infer_answer)


async def lookup(app: ASGIApp, caller: Caller, method: str, request: Any) -> Answer:
    """Answer the other calls of the Open Inference Protocol."""
    verb, path, response = _LOOKUPS[method]
    where = path(request)
    body = _giving(b'{"ready":true}') if getattr(request, "ready", False) else _nothing  # of the index: those alone
    reply = await caller.ask(app, verb, where, body)
    if method in ("ServerReady", "ModelReady") and reply.status == 503:
        return Answer(response(ready=False), _told(reply))
    return _answer(
        reply, lambda reply: json_format.ParseDict(_document(method, reply), response(), ignore_unknown_fields=True)
    )


async def health(app: ASGIApp, service: str) -> str:
    """The state of the service as gRPC's health service names it.

    Raises:
        CallError: no such service.
    """
    if service not in ("", INFERENCE):
        raise CallError(Code.NOT_FOUND, f"no service {service[:100]!r}; there is {INFERENCE}")
    reply = await Caller(()).ask(app, "GET", "/health/ready", _nothing)
    return "SERVING" if reply.status == 200 else "NOT_SERVING"


def _answer(reply: Reply, read: Callable[[Reply], Any]) -> Answer:
    if reply.status == 200:
        return Answer(read(reply), _told(reply))
    code = CODES.get(reply.status, Code.INTERNAL)
    return Answer(None, _told(reply), code, str(orjson.loads(reply.body)["error"])[:DETAILS])


def _told(reply: Reply) -> tuple[tuple[str, str], ...]:
    told = [(name, value) for name, value in reply.headers.items() if name in TOLD or name.startswith("x-model")]
    if (wait := reply.headers.get("retry-after-ms")) is not None:
        told.append((PUSHBACK, wait))
    return tuple(told)


async def _nothing() -> bytes:
    return b""


def _giving(content: bytes) -> Body:
    async def body() -> bytes:
        return content

    return body


def _raising(error: Exception) -> Body:
    async def body() -> bytes:
        raise error

    return body


def _of_model(rest: str = "") -> Callable[[Any], str]:
    def path(request: Any) -> str:
        version = f"/versions/{request.version}" if request.version else ""
        return f"/v2/models/{request.name}{version}{rest}"

    return path


def _document(method: str, reply: Reply) -> Any:
    document = orjson.loads(reply.body)
    if method == "ModelConfig":
        return {"config": document}
    return {"models": document} if method == "RepositoryIndex" else document


def _at(path: str) -> Callable[[Any], str]:
    return lambda _: path


_LOOKUPS: Final[dict[str, tuple[str, Callable[[Any], str], Any]]] = {
    **{name: ("GET", _at(path), EMPTY) for name, path in REFUSED.items()},
    **{
        name: (verb, path, message(f"inference.{name}Response"))
        for name, verb, path in (
            ("ServerLive", "GET", _at("/v2/health/live")),
            ("ServerReady", "GET", _at("/v2/health/ready")),
            ("ServerMetadata", "GET", _at("/v2")),
            ("ModelReady", "GET", _of_model("/ready")),
            ("ModelMetadata", "GET", _of_model()),
            ("ModelConfig", "GET", _of_model("/config")),
            ("RepositoryIndex", "POST", _at("/v2/repository/index")),
        )
    },
}
