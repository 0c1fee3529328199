"""The calls of one gateway: what its gRPC server, or Serve's, hands over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from starlette.types import ASGIApp

from deployments.auth.authenticator import Authenticator
from deployments.config.limits import Limits
from deployments.http.grpc.arriving import Arriving
from deployments.http.grpc.exchange import Caller
from deployments.http.grpc.field_count import refuse_many_fields
from deployments.http.grpc.methods import CODES, Answer, CallError, Code, health, infer, lookup
from deployments.http.grpc.protocol import REFUSED, message
from deployments.http.middleware.auth import values_of
from deployments.http.status import status_of
from models.errors import EmbedserveError, InputError

WATCHERS: Final = 64  # of the service's state at once: each costs a look a second, and none needs a key
LOOK_S: Final = 1.0  # between two looks at the readiness of a service that somebody watches
SHORT_BYTES: Final = 16384  # of a message that names a model or a service, as of HTTP's head
STATUS: Final = message("grpc.health.v1.HealthCheckResponse")
HEALTH_REQUEST: Final = message("grpc.health.v1.HealthCheckRequest")
INFER_REQUEST: Final = message("inference.ModelInferRequest")


class Calls:
    """Answers calls through the HTTP application of a gateway."""

    def __init__(self, app: ASGIApp, auth: Authenticator, limits: Callable[[], Limits]) -> None:
        """Answer by ``app``; ``auth`` says before a message is read whether it will be."""
        self._app = app
        self._auth = auth
        self._limits = limits
        self._arriving = Arriving(limits)
        self._watchers = 0

    async def infer(self, stream: AsyncIterator[bytes], caller: Caller) -> Answer:
        """Answer ``ModelInfer``."""

        async def read() -> Any:
            return parsed(INFER_REQUEST, await self._arriving.message(stream), self._limits())

        return await infer(self._app, caller, read, refused=not self._lets_in(caller))

    async def lookup(self, method: str, stream: AsyncIterator[bytes], caller: Caller) -> Answer:
        """Answer another call of the Open Inference Protocol."""
        try:
            request = None if method in REFUSED else await self._short(message(f"inference.{method}Request"), stream)
        except CallError as error:
            return Answer(None, code=error.code, details=error.details)
        return await lookup(self._app, caller, method, request)

    async def check(self, stream: AsyncIterator[bytes]) -> Answer:
        """Answer the health service's ``Check``, which needs no key."""
        try:
            request = await self._short(HEALTH_REQUEST, stream)
            return Answer(STATUS(status=await health(self._app, request.service)))
        except CallError as error:
            return Answer(None, code=error.code, details=error.details)

    async def watch(self, stream: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Answer the health service's ``Watch``: the state, and each that follows.

        Raises:
            CallError: too many watch already, or it is no such message.
        """
        service = (await self._short(HEALTH_REQUEST, stream)).service
        if self._watchers >= WATCHERS:
            raise CallError(Code.RESOURCE_EXHAUSTED, f"{WATCHERS} watch already; call Check instead")
        self._watchers += 1
        try:
            async for state in self._states(service):
                yield STATUS(status=state)
        finally:
            self._watchers -= 1

    async def _states(self, service: str) -> AsyncIterator[str]:
        told = None
        while True:
            try:
                state = await health(self._app, service)
            except CallError:
                state = "SERVICE_UNKNOWN"
            if state != told:
                told = state
                yield state
            await asyncio.sleep(LOOK_S)

    async def _short(self, kind: Any, stream: AsyncIterator[bytes]) -> Any:
        """The message of a call that asks about the service: names, which anybody may send.

        Raises:
            CallError: it is no such message, too long, or not there in time.
        """
        try:
            content = await self._arriving.short_message(stream)
            if len(content) > SHORT_BYTES:
                raise InputError(f"the message has {len(content)} bytes, the limit is {SHORT_BYTES}")
            return parsed(kind, content, self._limits())
        except EmbedserveError as error:
            raise CallError(CODES[status_of(error)], str(error)) from error

    def _lets_in(self, caller: Caller) -> bool:
        if not self._auth.required:
            return True
        try:
            self._auth.authenticate(values_of(caller.headers), "embed")
        except EmbedserveError:
            return False
        return True


def parsed(kind: Any, content: bytes, limits: Limits) -> Any:
    """A message.

    Raises:
        InputError: these bytes are none of its kind.
        LimitError: there are too many of them, or of what they stand for.
    """
    refuse_many_fields(content, kind, limits)
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise InputError(f"the message is no {kind.DESCRIPTOR.full_name}: {error}", code="invalid_message") from error
