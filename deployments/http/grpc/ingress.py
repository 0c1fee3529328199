"""The methods that Serve calls on the gateway for gRPC: one for each of the protocol's, by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from deployments.http.grpc.calls import Calls
from deployments.http.grpc.exchange import Caller
from deployments.http.grpc.methods import Answer, CallError, Code
from deployments.http.grpc.protocol import EMPTY, INFERENCE_METHODS, REFUSED

NOTHING: tuple[Any, ...] = ()  # of a stream that is refused
Method = Callable[..., Awaitable[Any]]


class GrpcIngress:
    """A class with the protocol's methods; the others than these are added below."""

    calls: Calls

    async def ModelInfer(self, request: AsyncIterator[bytes], grpc_context: Any) -> Any:  # noqa: N802 - the protocol's name
        """Embed the items of a tensor."""
        return _told(await self.calls.infer(request, _caller(grpc_context)), grpc_context)

    async def ModelStreamInfer(self, request: AsyncIterator[bytes], grpc_context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Refuse, without reading."""
        _told(await self.calls.lookup("ModelStreamInfer", request, _caller(grpc_context)), grpc_context)
        for nothing in NOTHING:
            yield nothing

    async def Check(self, request: AsyncIterator[bytes], grpc_context: Any) -> Any:  # noqa: N802
        """Say whether the service is ready."""
        return _told(await self.calls.check(request), grpc_context)

    async def Watch(self, request: AsyncIterator[bytes], grpc_context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Say so whenever it changes."""
        try:
            async for status in self.calls.watch(request):
                yield status
        except CallError as error:
            _told(Answer(None, code=error.code, details=error.details), grpc_context)


def _lookup(method: str) -> Method:
    async def answer(self: GrpcIngress, request: AsyncIterator[bytes], grpc_context: Any) -> Any:
        return _told(await self.calls.lookup(method, request, _caller(grpc_context)), grpc_context)

    answer.__name__ = method
    return answer


for _method in (*INFERENCE_METHODS, *REFUSED):
    if not hasattr(GrpcIngress, _method):
        setattr(GrpcIngress, _method, _lookup(_method))


def _caller(context: Any) -> Caller:
    remaining = getattr(context, "time_remaining", None)  # Serve's own context lacks it
    return Caller(context.invocation_metadata() or (), context.peer(), remaining() if remaining else None)


def _told(answer: Answer, context: Any) -> Any:
    """The message of an answer, whose status and what is told behind it the context gets."""
    if answer.trailing:
        context.set_trailing_metadata(list(answer.trailing))
    if answer.code is Code.OK:
        return answer.message
    context.set_code(answer.code)
    context.set_details(answer.details)
    return EMPTY()
