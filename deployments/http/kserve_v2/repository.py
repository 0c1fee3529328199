"""The index of the models, as Triton's repository extension has it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.gateway.model_registry import STEADY, ModelRegistry
from deployments.gateway.model_version import ModelVersion
from deployments.http.request import parse_json, read_body
from deployments.http.response import json_response


def index_routes(registry: ModelRegistry) -> list[Route]:
    """The routes of the index."""

    async def index(request: Request) -> Response:
        limits = registry.config.limits
        content = await read_body(request, limits)
        wanted = parse_json(content, limits) if content else {}
        rows = [row(registry, version) for version in registry.versions.values()]
        return json_response([one for one in rows if not wanted.get("ready") or one["state"] == "READY"])

    return [Route("/v2/repository/index", index, methods=["POST"])]


def row(registry: ModelRegistry, version: ModelVersion) -> dict[str, Any]:
    """One version."""
    reason = registry.reason(version)
    return {
        "name": version.model,
        "version": version.version,
        "state": "READY" if version.state in STEADY else "UNAVAILABLE",
        "reason": reason.text if reason else "",
    }
