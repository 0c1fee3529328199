"""The OpenAPI 3.1 document."""

from __future__ import annotations

from typing import Any

from deployments.auth.authenticator import Needed
from deployments.http.error_shapes import has_openai_shape
from deployments.http.middleware.auth import needed
from deployments.http.openapi.operations import (
    FILE,
    MODEL,
    QUERY,
    VERSION,
    VOCABULARY,
    embedding,
    error,
    json_body,
    picture_body,
    reading,
    text,
)
from deployments.http.openapi.schemas import components

DESCRIPTION = (
    "Text and image embeddings as unit vectors. Paths of neighbours' protocols (/embed, /api/embed, /v2/embed, ...) are described where "
    "those are: docs/clients.md lists them."
)


def document(*, keys: bool = False) -> dict[str, Any]:
    """The document of a service that asks for API keys, or of one that does not."""
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "embedserve", "version": "1", "description": DESCRIPTION},
        "paths": {**_openai(), **_service(), **_kserve()},
        "components": {"schemas": components()},
    }
    if keys:
        described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, methods in described["paths"].items():
            for method, operation in methods.items():
                _ask_for_key(operation, needed(method.upper(), path))
    for path, methods in described["paths"].items():
        if not has_openai_shape(path):
            for operation in methods.values():
                _shape_errors(operation)
    return described


def _openai() -> dict[str, Any]:
    images = embedding("Embed pictures sent as they are", "EmbeddingResponse", picture_body(), QUERY)
    texts = embedding(
        "Embed texts, token ids or images", "EmbeddingResponse", json_body("EmbeddingRequest"), [VOCABULARY]
    )
    return {
        "/v1/embeddings": {"post": texts},
        "/v1/embeddings/image": {"post": images},
        "/v1/models": {"get": reading("List the versions served")},
        "/v1/models/{model}": {"get": reading("One model or version", "Model", [404], [MODEL])},
    }


def _service() -> dict[str, Any]:
    ready = "Readiness: every routed version just embedded something"
    return {
        "/v2": {"get": reading("Server metadata")},
        "/v2/repository/index": {
            "post": reading("The versions served, as Triton's index has them", "RepositoryIndex", [400, 413])
        },
        "/v2/health/live": {"get": reading("Liveness")},
        "/v2/health/ready": {"get": reading("Readiness", errors=[503])},
        "/health/live": {"get": reading("Liveness: the process can answer")},
        "/health/ready": {"get": reading(ready, errors=[503])},
        "/metrics": {"get": text("Prometheus metrics of every node of the cluster", "text/plain")},
        "/console": {"get": text("The service in a browser: versions, traffic, a playground", "text/html")},
        "/console/{file}": {"get": text("A file of the console", "text/javascript", [404], [FILE])},
        "/docs": {"get": text("This description as a page", "text/html")},
        "/openapi.json": {"get": reading("This description")},
    }


def _kserve() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for path, named in (
        ("/v2/models/{model}", [MODEL]),
        ("/v2/models/{model}/versions/{version}", [MODEL, VERSION]),
    ):
        paths[path] = {"get": reading("Model metadata", errors=[404], parameters=named)}
        paths[f"{path}/config"] = {
            "get": reading("Model configuration, as Triton has it", errors=[404], parameters=named)
        }
        paths[f"{path}/ready"] = {"get": reading("Model readiness", errors=[404, 503], parameters=named)}
        paths[f"{path}/infer"] = {"post": embedding("Infer (KServe v2)", "Any", json_body("InferRequest"), named)}
    return paths


def _shape_errors(operation: dict[str, Any]) -> None:
    """Promise nothing of the shape of errors, where it is that of another protocol than OpenAI's."""
    for status, response in operation["responses"].items():
        if status >= "400":
            response["content"] = json_body("Any")


def _ask_for_key(operation: dict[str, Any], scope: Needed | None) -> None:
    """Say in the description of an operation that it needs a key."""
    if scope is None:
        return
    operation["security"] = [{"key": []}]
    operation["description"] = f"Needs an API key{'' if scope == 'any' else f' with the scope {scope}'}."
    for status in (401, 403):
        operation["responses"][str(status)] = error(status)
