"""The gateway's application behind a gRPC server on a socket, without Ray."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import grpc
from grpc_reflection.v1alpha.reflection import SERVICE_NAME, enable_server_reflection
from ray.serve._private.constants import HEALTHY_MESSAGE
from ray.serve.generated.serve_pb2 import HealthzResponse
from ray.serve.generated.serve_pb2_grpc import (
    RayServeAPIServiceServicer,
    add_RayServeAPIServiceServicer_to_server,
)

from deployments.auth.authenticator import Authenticator
from deployments.http.grpc.calls import Calls
from deployments.http.grpc.ingress import GrpcIngress
from deployments.http.grpc.protocol import HEALTH, INFERENCE
from deployments.http.grpc.servicer import add_to_server
from tests.deployments.http.service import Application


class Healthy(RayServeAPIServiceServicer):
    """What Serve adds, and HAProxy asks."""

    async def Healthz(self, request: object, context: object) -> HealthzResponse:  # noqa: N802 - as Serve has it
        return HealthzResponse(message=HEALTHY_MESSAGE)


@contextlib.contextmanager
def listening(application: Application, auth: Authenticator | None = None) -> Iterator[str]:
    """The address at which calls are answered, in a thread of this process."""
    loop = asyncio.new_event_loop()
    ingress = GrpcIngress()
    limits = lambda: application.embeddings.registry.config.limits  # noqa: E731
    ingress.calls = Calls(application.app, auth or Authenticator("development", {}), limits)
    bound: list[int] = []
    ready = threading.Event()

    async def serve() -> None:
        server = grpc.aio.server()
        add_to_server(ingress, server)
        add_RayServeAPIServiceServicer_to_server(Healthy(), server)
        enable_server_reflection([INFERENCE, HEALTH, SERVICE_NAME], server)
        bound.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        ready.set()
        await stopping.wait()
        await server.stop(None)

    async def stop() -> None:
        stopping.set()

    stopping = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield f"127.0.0.1:{bound[0]}"
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop)
        thread.join()
        loop.close()
