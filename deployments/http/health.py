"""Liveness and readiness: the first says that the process answers, the second that every routed version embeds."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.auth.authenticator import Authenticator
from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.readiness import unready
from deployments.http.response import json_response
from deployments.http.retry import retry_headers

KEYS_UNREADABLE = "API keys cannot be checked, and no request that needs one is answered; the gateway's log says why"


def routes(registry: ModelRegistry, auth: Authenticator) -> list[Route]:
    """The routes of this adapter."""

    async def live(_: Request) -> Response:
        return json_response({"status": "live"})

    async def ready(_: Request) -> Response:
        reasons = [KEYS_UNREADABLE] if auth.refuses_all else await unready(registry)
        body = {"status": "unready" if reasons else "ready", "reasons": reasons}
        headers = retry_headers(1) if reasons else None
        return json_response(body, 503 if reasons else 200, headers)

    async def server_live(_: Request) -> Response:
        return json_response({"live": True})

    async def server_ready(request: Request) -> Response:
        answer = await ready(request)
        return json_response({"ready": answer.status_code == 200}, answer.status_code, retry_of(answer))

    async def well_known_live(_: Request) -> Response:
        return Response(status_code=204)

    async def well_known_ready(request: Request) -> Response:
        answer = await ready(request)
        return Response(status_code=204) if answer.status_code == 200 else answer

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/v2/health/live", server_live),
        Route("/v2/health/ready", server_ready),
        Route("/.well-known/live", well_known_live, include_in_schema=False),  # as Weaviate asks its modules
        Route("/.well-known/ready", well_known_ready, include_in_schema=False),
    ]


def retry_of(answer: Response) -> dict[str, str]:
    """The headers of an answer that say when to come again."""
    return {name: value for name, value in answer.headers.items() if name.startswith("retry-after")}
