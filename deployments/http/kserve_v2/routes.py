"""The adapter: from KServe's requests to the embedding service and back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.gateway.embedding_service import EmbeddingService
from deployments.gateway.model_version import ModelVersion
from deployments.http.fields import wanted_of
from deployments.http.headers import routing_key_of
from deployments.http.kserve_v2.answer import OUTPUT, infer_response
from deployments.http.kserve_v2.tensors import items_of, parameters_of, split
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
        info, name = version.info, version.modality
        document = {
            "name": version.model,
            "versions": [v.version for v in registry.of_model(version.model)],
            "platform": "onnxruntime",
            "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]}],
            "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, info.dimensions if info else -1]}],
        }
        return json_response(document)

    async def ready(request: Request) -> Response:
        version = version_of(request)
        await version.refresh(5.0)
        return json_response({"name": version.reference, "ready": version.error is None}, 503 if version.error else 200)

    async def infer(request: Request) -> Response:
        reference = _reference(request)
        limits = registry.config.limits
        document, binary = split(request, await read_body(request, limits), limits)
        modality = registry.resolve(reference).modality
        items = items_of(document, binary, modality)
        wanted = wanted_of(parameters_of(document))
        asked = embed_request(request, reference, items, wanted, key=routing_key_of(request), param=modality)
        return await infer_response(document, await embeddings.embed(asked), embeddings.turns)

    paths = ["/v2/models/{model}", "/v2/models/{model}/versions/{version}"]
    return [
        Route("/v2", server),
        *(Route(path, metadata) for path in paths),
        *(Route(f"{path}/ready", ready) for path in paths),
        *(Route(f"{path}/infer", infer, methods=["POST"]) for path in paths),
    ]


def _reference(request: Request) -> str:
    model, version = request.path_params["model"], request.path_params.get("version")
    return f"{model}@{version}" if version else model
