"""``/v1/models``: which versions are served, and in which state each is."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.model_version import ModelVersion
from deployments.http.response import json_response


def routes(registry: ModelRegistry) -> list[Route]:
    """The routes of this adapter."""

    async def every(_: Request) -> Response:
        data = [entry(registry, version) for version in registry.versions.values()]
        return json_response({"object": "list", "data": data})

    async def one(request: Request) -> Response:
        name: str = request.path_params["model"]
        model, _, pinned = registry.config.aliases.get(name, name).partition("@")
        versions = registry.of_model(model)
        if pinned or not versions:
            version = registry.resolve(name)
            return json_response(entry(registry, version))
        main = max(versions, key=registry.share)
        document = entry(registry, main)
        document["versions"] = [entry(registry, version) for version in versions]
        return json_response(document)

    return [Route("/v1/models", every), Route("/v1/models/{model:path}", one)]


def entry(registry: ModelRegistry, version: ModelVersion) -> dict[str, Any]:
    """One version in the shape of OpenAI's list, with more that clients of this service want to know."""
    info = version.info
    reason = registry.reason(version)
    routes = registry.config.models.get(version.model)
    return {
        "id": version.reference,
        "object": "model",
        "created": 0,
        "owned_by": "embedserve",
        "name": info.name if info else None,
        "version": version.version,
        "hash": info.label.hash if info else None,
        "numerics": (info.label.numerics or None) if info else None,
        "modality": version.modality,
        "dimensions": info.dimensions if info else None,
        "precision": info.precision if info else None,
        "provider": info.provider if info else None,
        "max_tokens": info.max_tokens if info else None,
        "weights": ("synthetic" if info.label.synthetic else "pretrained") if info else None,
        "batch_dependent": info.label.batch_dependent if info else None,
        "state": version.state,
        "reason": reason.text if reason else None,
        "reason_code": reason.code if reason else None,
        "swap_error": info.swap_error if info else None,
        "share": registry.share(version),
        "shadow": routes.shadow.get(version.version, 0) if routes else 0,
        "replicas": version.replica_count,
    }
