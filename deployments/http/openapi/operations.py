"""How one operation is described: its parameters, what it takes, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployments.config.gateway import TokenVocabulary
from deployments.http.field_values import Dtype, Encoding
from deployments.http.openapi.schemas import Dimensions, Priority, Reference, reference_to, schema_of

JSON = "application/json"
ERRORS = {
    400: "the input is wrong; the message says what and where",
    401: "no API key",
    403: "the API key is unknown or expired, or lacks the scope",
    404: "unknown model, version or route",
    408: "the body did not arrive in time",
    413: "larger than a limit, which the message names",
    415: "content type or content encoding not accepted",
    429: "over the rate limit of this API key; see Retry-After",
    503: "at capacity, or no replica is ready; see Retry-After",
    504: "the deadline passed",
}
EMBEDDING_ERRORS = (400, 404, 408, 413, 415, 429, 503, 504)
PRIORITY: dict[str, Any] = {
    "name": "x-priority",
    "in": "header",
    "description": "bulk lets interactive requests pass, and is refused first",
    "schema": {**schema_of(Priority), "default": "interactive"},
}
VOCABULARY: dict[str, Any] = {
    "name": "x-token-vocabulary",
    "in": "header",
    "description": "whose token ids the input holds; where it is not said, the configuration says it, or they are OpenAI's",
    "schema": schema_of(TokenVocabulary),
}
TRUNCATE: dict[str, Any] = {
    "name": "x-truncate",
    "in": "header",
    "description": "false refuses what is longer than the model reads; otherwise x-truncated counts what was cut",
    "schema": {"type": "string", "enum": ["true", "false"]},
}
QUERY: list[dict[str, Any]] = [
    {"name": "model", "in": "query", "schema": schema_of(Reference)},
    {"name": "encoding_format", "in": "query", "schema": schema_of(Encoding)},
    {"name": "dimensions", "in": "query", "schema": schema_of(Dimensions)},
    {"name": "output_dtype", "in": "query", "schema": schema_of(Dtype)},
]
FILE, MODEL, VERSION = (
    {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for name in ("file", "model", "version")
)
ORIGIN_HEADERS = {
    "x-model": "resolved name@version",
    "x-model-hash": "content hash of the artifact that computed the vectors",
    "x-model-numerics": "numerics class that computed them: provider/precision/instructions/runtime",
    "x-cache": "hit, miss or partial",
    "x-truncated": "how many inputs were cut; absent when none",
    "x-truncated-by": "characters of them, or token ids, behind the cut",
    "x-request-id": "the caller's when valid, else a new one",
    "x-model-weights": "'synthetic' when the weights are random; absent otherwise",
    "x-model-batch-dependent": "'true' when a vector depends on the other inputs of its batch; absent otherwise",
    "x-model-adapted": "'name@version; hash=...' of the version into whose space the vectors are mapped; absent otherwise",
}


def reading(
    summary: str, schema: str = "Any", errors: Sequence[int] = (), parameters: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A GET that answers JSON."""
    described: dict[str, Any] = {"summary": summary, "responses": {"200": _json("success", schema)}}
    for status in errors:
        # Readiness answers its own body with 503, everything else the one shape of errors.
        own = schema == "Any" and status == 503
        described["responses"][str(status)] = _json(ERRORS[status], "Any") if own else error(status)
    if parameters:
        described["parameters"] = list(parameters)
    return described


def text(
    summary: str, media_type: str, errors: Sequence[int] = (), parameters: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A GET that answers text."""
    content = {media_type: {"schema": {"type": "string"}}}
    described: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": "success", "content": content}},
    }
    described["responses"].update({str(status): error(status) for status in errors})
    return {**described, "parameters": list(parameters)} if parameters else described


def embedding(
    summary: str, schema: str, takes: dict[str, Any], parameters: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A POST that answers vectors.

    Args:
        summary: what it does, in a few words.
        schema: of the answer.
        takes: what a body may be, by media type.
        parameters: beside the priority, which each of them takes.
    """
    success = _json("success", schema)
    if schema == "EmbeddingResponse":
        success["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in ORIGIN_HEADERS.items()
        }
    return {
        "summary": summary,
        "responses": {"200": success, **{str(status): error(status) for status in EMBEDDING_ERRORS}},
        "parameters": [*parameters, PRIORITY, TRUNCATE],
        "requestBody": {"required": True, "content": takes},
    }


def json_body(schema: str) -> dict[str, Any]:
    """A body of JSON."""
    return {JSON: {"schema": reference_to(schema)}}


def picture_body() -> dict[str, Any]:
    """A body that is a picture, or a form with pictures."""
    binary: dict[str, Any] = {"type": "string", "format": "binary"}
    files = {"type": "array", "minItems": 1, "items": binary}
    form = {"type": "object", "required": ["file"], "properties": {"file": files}}
    pictures = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
    return {**{media_type: {"schema": binary} for media_type in pictures}, "multipart/form-data": {"schema": form}}


def error(status: int) -> dict[str, Any]:
    """An answer of the one shape of errors."""
    return _json(ERRORS[status], "Error")


def _json(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": json_body(schema)}
