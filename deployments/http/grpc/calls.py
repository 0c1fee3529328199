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
from deployments.http.grpc.methods import Answer, CallError, Code, health, infer, lookup
from deployments.http.grpc.protocol import REFUSED, message
from deployments.http.middleware.auth import values_of
from models.errors import EmbedserveError, InputError

WATCHERS: Final = 64  # of the service's state at once: each costs a look a second, and none needs a key
LOOK_S: Final = 1.0  # between two looks at the readiness of a service that somebody watches
STATUS: Final = message("grpc.health.v1.HealthCheckResponse")
HEALTH_REQUEST: Final = message("grpc.health.v1.HealthCheckRequest")
INFER_REQUEST: Final = message("inference.ModelInferRequest")


class Calls:
    """Answers calls through the HTTP application of a gateway."""

    def __init__(self, app: ASGIApp, auth: Authenticator, limits: Callable[[], Limits]) -> None:
        """Answer by ``app``; ``auth`` says before a message is read whether it will be."""
        self._app = app
        self._auth = auth
        self._arriving = Arriving(limits)
        self._watchers = 0

    async def infer(self, stream: AsyncIterator[bytes], caller: Caller) -> Answer:
        """Answer ``ModelInfer``."""

        async def read() -> Any:
            return parsed(INFER_REQUEST, await self._arriving.message(stream))

        return await infer(self._app, caller, read, refused=not self._lets_in(caller))

    async def lookup(self, method: str, content: bytes, caller: Caller) -> Answer:
        """Answer another call of the Open Inference Protocol."""
        try:
            request = None if method in REFUSED else parsed(message(f"inference.{method}Request"), content)
        except InputError as error:
            return Answer(None, code=Code.INVALID_ARGUMENT, details=str(error))
        return await lookup(self._app, caller, method, request)

    async def check(self, content: bytes) -> Answer:
        """Answer the health service's ``Check``, which needs no key."""
        try:
            return Answer(STATUS(status=await health(self._app, parsed(HEALTH_REQUEST, content).service)))
        except InputError as error:
            return Answer(None, code=Code.INVALID_ARGUMENT, details=str(error))
        except CallError as error:
            return Answer(None, code=error.code, details=error.details)

    async def watch(self, content: bytes) -> AsyncIterator[Any]:
        """Answer the health service's ``Watch``: the state, and each that follows.

        Raises:
            CallError: too many watch already.
            InputError: it is no such message.
        """
        service = parsed(HEALTH_REQUEST, content).service
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

    def _lets_in(self, caller: Caller) -> bool:
        if not self._auth.required:
            return True
        try:
            self._auth.authenticate(values_of(caller.headers), "embed")
        except EmbedserveError:
            return False
        return True


def parsed(kind: Any, content: bytes) -> Any:
    """A message.

    Raises:
        InputError: these bytes are none of its kind.
    """
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise InputError(f"the message is no {kind.DESCRIPTOR.full_name}: {error}", code="invalid_message") from error
