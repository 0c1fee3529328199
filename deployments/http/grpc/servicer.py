"""The services and methods of a gRPC server: what `grpc_options.grpc_servicer_functions` names, and tests take for their own server.

Serve replaces what answers them by the methods of the gateway's class that have the same names (``ingress``).
"""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pool  # type: ignore[import-untyped]

from deployments.http.grpc.protocol import FILES, HEALTH, INFERENCE, INFERENCE_METHODS, REFUSED


def add_to_server(servicer: Any, server: Any) -> None:
    """Let ``server`` answer the protocol's calls by the methods of ``servicer``."""
    describe()
    for service, handlers in ((INFERENCE, inference_handlers(servicer)), (HEALTH, health_handlers(servicer))):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def describe() -> None:
    """Put the protocol where Serve's server reflection looks it up, unless another library did."""
    pool = descriptor_pool.Default()
    for file, service in zip(FILES, (INFERENCE, HEALTH), strict=True):
        try:
            pool.FindServiceByName(service)
        except KeyError:
            pool.AddSerializedFile(file.SerializeToString())


def inference_handlers(servicer: Any) -> dict[str, grpc.RpcMethodHandler]:
    """The methods of the Open Inference Protocol.

    On the wire one message and a stream of one are the same. All take the latter, so that the gateway begins before the message
    is there, and can refuse to read it or to wait for it. Messages are handed over as bytes: Serve's fallback proxy sends them to a
    gateway as they are, while objects of classes that no module has could not be pickled.
    """
    take = grpc.stream_unary_rpc_method_handler
    handlers = {method: take(getattr(servicer, method), None, _written) for method in (*INFERENCE_METHODS, *REFUSED)}
    handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(servicer.ModelStreamInfer, None, _written)
    return handlers


def health_handlers(servicer: Any) -> dict[str, grpc.RpcMethodHandler]:
    """The methods of gRPC's health service."""
    return {
        "Check": grpc.stream_unary_rpc_method_handler(servicer.Check, None, _written),
        "Watch": grpc.stream_stream_rpc_method_handler(servicer.Watch, None, _written),
    }


def _written(answer: Any) -> bytes:
    content: bytes = answer.SerializeToString()
    return content
