"""The other end of a comparison of ways to call: a process of its own, and gRPC's in it."""

from __future__ import annotations

import multiprocessing
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any

import uvloop


@asynccontextmanager
async def other_end(target: Callable[[Pipe], None]) -> AsyncIterator[tuple[Any, int]]:
    """A process that runs ``target``: what it says of where it listens, and its id."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv(), process.pid or 0
    finally:
        process.kill()
        process.join()


def grpc_end(answer: Callable[[bytes, Any], Awaitable[bytes]], pipe: Pipe) -> None:
    """Listen with grpc.aio, and give every call the same answer."""
    import grpc

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, _: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(answer)

    async def serve() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Handlers(),))
        pipe.send(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    uvloop.run(serve())
