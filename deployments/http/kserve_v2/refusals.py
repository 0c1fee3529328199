"""What Triton offers beyond the protocol and this service does not: each is refused by its name, with what does its work here."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from models.errors import NotOfferedError

MEMORY: Final = "send tensors in the request, and read them in the answer"
STATISTICS: Final = "statistics of models are not offered here; GET /metrics has them for Prometheus"
STREAMS: Final = "streams of requests are not offered: each request gets one answer; call ModelInfer"
REFUSED: Final = {
    "/v2/systemsharedmemory/{rest:path}": f"system shared memory is not offered; {MEMORY}",
    "/v2/cudasharedmemory/{rest:path}": f"CUDA shared memory is not offered; {MEMORY}",
    "/v2/models/stats": STATISTICS,
    "/v2/models/{model:path}/stats": STATISTICS,
    "/v2/repository/models/{model:path}/load": "loading is not offered to clients; operators add versions: `embedserve add`",
    "/v2/repository/models/{model:path}/unload": "unloading is not offered to clients; operators remove versions: "
    "`embedserve remove`",
    "/v2/trace/setting": "settings of traces are not offered to clients; operators set OTEL_EXPORTER_OTLP_ENDPOINT",
    "/v2/logging": "settings of logs are not offered to clients; the configuration has them",
    "/v2/stream": STREAMS,
}


def refusals() -> list[Route]:
    """A route for each, none of which is described: nobody should try them."""
    return [_refusal(path, why) for path, why in REFUSED.items()]


def _refusal(path: str, why: str) -> Route:
    async def refuse(_: Request) -> Response:
        raise NotOfferedError(why)

    return Route(path, refuse, methods=["GET", "POST"], include_in_schema=False)
