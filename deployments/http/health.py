"""Liveness and readiness: the first says that the process answers, the second that every routed version embeds."""

from __future__ import annotations

import time

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.gateway.model_registry import ModelRegistry

FRESH_S = 5.0  # an embedding not older than this proves a replica


def routes(registry: ModelRegistry) -> list[Route]:
    """The routes of this adapter."""

    async def live(_: Request) -> Response:
        return Response(b'{"status":"live"}', 200, None, "application/json")

    async def ready(_: Request) -> Response:
        reasons = await unready(registry)
        body = {"status": "unready" if reasons else "ready", "reasons": reasons}
        headers = {"retry-after": "1"} if reasons else None
        return Response(orjson.dumps(body), 503 if reasons else 200, headers, "application/json")

    return [
        Route("/health/live", live),
        Route("/health/ready", ready),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
    ]


async def unready(registry: ModelRegistry) -> list[str]:
    """Why the service is not ready: one line for each routed version whose replica did not just embed something.

    Versions that sleep when idle are asked only while they are used.
    """
    routed = [version for version in registry.versions.values() if registry.share(version) > 0]
    if not routed:
        return ["no model is routed: the gateway's user_config names none"]
    routed = [version for version in routed if not version.resting]
    for version in routed:
        if version.error or time.monotonic() - version.seen_at > FRESH_S:
            await version.refresh(FRESH_S)
    return [f"{version.reference}: {version.error}" for version in routed if version.error]
