"""The adapter: from KServe's requests to the embedding service and back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.gateway.embedding_service import EmbeddingService
from deployments.gateway.model_names import towers_of
from deployments.gateway.model_version import ModelVersion
from deployments.http.fields import wanted_of
from deployments.http.headers import routing_key_of
from deployments.http.kserve_v2.answer import infer_response
from deployments.http.kserve_v2.metadata import config_of, metadata_of
from deployments.http.kserve_v2.refusals import refusals
from deployments.http.kserve_v2.repository import index_routes
from deployments.http.kserve_v2.tensors import items_of, parameters_of, split, tower_of
from deployments.http.request import embed_request, read_body
from deployments.http.response import json_response


def routes(embeddings: EmbeddingService) -> list[Route]:
    """The routes of this adapter."""
    registry = embeddings.registry

    def version_of(request: Request) -> ModelVersion:
        return registry.resolve(_reference(request))

    async def server(_: Request) -> Response:
        return json_response({"name": "embedserve", "version": "2", "extensions": ["binary_tensor_data"]})

    async def metadata(request: Request) -> Response:
        version = version_of(request)
        return json_response(metadata_of(version, registry.of_model(version.model)))

    async def config(request: Request) -> Response:
        return json_response(config_of(version_of(request)))

    async def ready(request: Request) -> Response:
        version = version_of(request)
        await version.refresh(5.0)
        return json_response({"name": version.reference, "ready": version.error is None}, 503 if version.error else 200)

    async def infer(request: Request) -> Response:
        return await _infer(embeddings, request)

    # Names may hold slashes, as aliases do: what ends in more stands before what does not.
    paths = ["/v2/models/{model:path}/versions/{version}", "/v2/models/{model:path}"]
    return [
        *(Route(f"{path}/infer", infer, methods=["POST"]) for path in paths),
        Route("/v2", server),
        *index_routes(registry),
        *refusals(),
        *(Route(f"{path}/ready", ready) for path in paths),
        *(Route(f"{path}/config", config) for path in paths),
        *(Route(path, metadata) for path in paths),
    ]


async def _infer(embeddings: EmbeddingService, request: Request) -> Response:
    registry = embeddings.registry
    reference = _reference(request)
    limits = registry.config.limits
    document, binary = split(request, await read_body(request, limits), limits)
    wanted = wanted_of(parameters_of(document))
    towers = towers_of(registry.config, reference)
    if towers is None:
        modality = registry.resolve(reference).modality
    else:
        modality = tower_of(document, towers)
        wanted = wanted.of_inputs([modality])
    items = items_of(document, binary, modality)
    asked = embed_request(request, reference, items, wanted, key=routing_key_of(request), param=modality)
    return await infer_response(document, await embeddings.embed(asked), embeddings.turns)


def _reference(request: Request) -> str:
    model, version = request.path_params["model"], request.path_params.get("version")
    return f"{model}@{version}" if version else model
