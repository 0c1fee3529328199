"""``/v1/models``: which versions are served, and in which state each is."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.gateway.model_names import names_of, target_of, towers_of
from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.model_version import ModelVersion
from deployments.http.headers import header_of


def routes(registry: ModelRegistry) -> list[Route]:
    """The routes of this adapter."""

    async def every(request: Request) -> Response:
        names = [named(registry, name) for name in names_of(registry.config)]
        data = [*names, *(entry(registry, version) for version in registry.versions.values())]
        return tagged(request, {"object": "list", "data": data})

    async def one(request: Request) -> Response:
        name: str = request.path_params["model"]
        target = target_of(registry.config, name)
        if "@" in target or not registry.of_model(target):
            return tagged(request, entry(registry, registry.resolve(name)))
        return tagged(request, named(registry, name) | {"id": main_of(registry, name).reference})

    return [
        Route("/v1/models", every),
        Route("/v1/models/{model:path}", one),
        Route("/models", every, include_in_schema=False),
        Route("/models/{model:path}", one, include_in_schema=False),
    ]


def main_of(registry: ModelRegistry, name: str) -> ModelVersion:
    """The version that most requests for a name or alias go to."""
    target = target_of(registry.config, name)
    if "@" in target:
        return registry.versions[target]
    return max(registry.of_model(target), key=registry.share)


def named(registry: ModelRegistry, name: str) -> dict[str, Any]:
    """A name that requests may use, as its main version describes it; ``versions`` are all that it may lead to.

    One with several towers is described by the leading one, and ``towers`` names their models by what they embed.
    """
    target, towers = target_of(registry.config, name), towers_of(registry.config, name)
    document = entry(registry, main_of(registry, name)) | {"id": name, "routes_to": target}
    if "@" not in target:
        models = [target] if towers is None else towers.values()
        document["versions"] = [entry(registry, version) for model in models for version in registry.of_model(model)]
    return document if towers is None else document | {"towers": towers}


def tagged(request: Request, document: dict[str, Any]) -> Response:
    """JSON that a client need not read again as long as it is the same."""
    content = orjson.dumps(document)
    tag = f'"{blake2b(content, digest_size=16).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    known = header_of(request, b"if-none-match") or ""
    if known.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in known.split(",")):
        return Response(None, 304, headers)
    return Response(content, 200, headers, "application/json")


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
        "adapted": _adapted(info.label.adapted) if info else None,
        "prompts": list(info.prompts if info.selectable is None else info.selectable) if info else None,
        "state": version.state,
        "reason": reason.text if reason else None,
        "reason_code": reason.code if reason else None,
        "swap_error": info.swap_error if info else None,
        "warnings": list(info.warnings) if info else [],
        "share": registry.share(version),
        "shadow": routes.shadow.get(version.version, 0) if routes else 0,
        "replicas": version.replicas,
    }


def _adapted(to: tuple[str, str] | None) -> dict[str, str] | None:
    """The version into whose space vectors are mapped; None where they are a model's own."""
    return None if to is None else {"to": to[0], "hash": to[1]}
