"""``/openapi.json`` and ``/docs``: the API, described as it really behaves."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from deployments.auth.authenticator import Authenticator, Needed
from deployments.contract.reason import ReasonCode
from deployments.http.middleware.auth import needed

JSON = "application/json"
REFERENCE: dict[str, Any] = {"type": "string", "minLength": 1, "description": "name, name@version, or an alias"}
IDS: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}}
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string", "description": "what was wrong and what would be right"},
                    "type": {"type": "string", "enum": ["invalid_request_error", "server_error"]},
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
            }
        },
    },
    "EmbeddingRequest": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": REFERENCE,
            "input": {
                "description": "texts, token ids, or images as data:image/...;base64, URIs or bare base64; "
                "https URLs of images where the operator allows them",
                "anyOf": [
                    TEXT,
                    {"type": "array", "minItems": 1, "items": TEXT},
                    IDS,
                    {"type": "array", "minItems": 1, "items": IDS},
                ],
            },
            "encoding_format": {"type": ["string", "null"], "enum": ["float", "base64", None], "default": "float"},
            "dimensions": {"type": ["integer", "null"], "minimum": 1},
            "user": {"type": ["string", "null"], "description": "routing key when no x-routing-key header is sent"},
        },
    },
    "EmbeddingResponse": {
        "type": "object",
        "required": ["object", "model", "data", "usage"],
        "properties": {
            "object": {"const": "list"},
            "model": {"type": "string", "description": "name@version that computed the vectors"},
            "data": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["object", "index", "embedding"],
                    "properties": {
                        "object": {"const": "embedding"},
                        "index": {"type": "integer"},
                        "embedding": {
                            "description": "unit vector: numbers, or base64 of little-endian float32",
                            "anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}],
                        },
                    },
                },
            },
            "usage": {
                "type": "object",
                "required": ["prompt_tokens", "total_tokens"],
                "properties": {"prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}},
            },
        },
    },
    "Model": {
        "type": "object",
        "required": ["id", "object", "version", "state", "share", "replicas"],
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "model"},
            "version": {"type": "string"},
            "hash": {"type": ["string", "null"], "description": "content hash: the cache key of its vectors"},
            "modality": {"type": "string", "enum": ["text", "image"]},
            "dimensions": {"type": ["integer", "null"]},
            "precision": {"type": ["string", "null"]},
            "weights": {"type": ["string", "null"], "enum": ["pretrained", "synthetic", None]},
            "state": {"type": "string", "enum": ["ready", "loading", "failed", "asleep"]},
            "reason": {
                "type": ["string", "null"],
                "description": "why it does not serve what was asked for, for people",
            },
            "reason_code": {
                "type": ["string", "null"],
                "enum": [*ReasonCode, None],
                "description": "the same for programs",
            },
            "share": {"type": "number"},
            "replicas": {"type": "integer"},
        },
    },
    "InferRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"description": "given back when it is a string"},
            "inputs": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": {
                    "type": "object",
                    "required": ["name", "datatype", "shape", "data"],
                    "properties": {
                        "name": {"type": "string", "enum": ["text", "image"]},
                        "datatype": {"const": "BYTES"},
                        "shape": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 2,
                            "items": {"type": "integer", "minimum": 1},
                        },
                        "data": {
                            "description": "as many items as shape says: texts, or base64 of images",
                            "type": "array",
                            "minItems": 1,
                            "items": TEXT,
                        },
                    },
                },
            },
        },
    },
    "Any": {"type": "object"},
}
ERRORS = {
    400: "the input is wrong; the message says what and where",
    401: "no API key",
    403: "the API key is unknown or expired, or lacks the scope",
    404: "unknown model, version or route",
    408: "the body did not arrive in time",
    413: "larger than a limit, which the message names",
    415: "content type not accepted",
    429: "over the rate limit of this API key; see Retry-After",
    503: "at capacity, or no replica is ready; see Retry-After",
    504: "the deadline passed",
}
PRIORITY: dict[str, Any] = {
    "name": "x-priority",
    "in": "header",
    "description": "bulk lets interactive requests pass, and is refused first",
    "schema": {"type": "string", "enum": ["interactive", "bulk"], "default": "interactive"},
}
ORIGIN_HEADERS = {
    "x-model": "resolved name@version",
    "x-model-hash": "content hash of the artifact that computed the vectors",
    "x-cache": "hit, miss or partial",
    "x-request-id": "the caller's when valid, else a new one",
    "x-model-weights": "'synthetic' when the weights are random; absent otherwise",
}


def document(*, keys: bool = False) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service that asks for API keys, or of one that does not."""
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "embedserve", "version": "1", "description": "Text and image embeddings as unit vectors."},
        "paths": _paths(),
        "components": {"schemas": SCHEMAS},
    }
    if keys:
        described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, methods in described["paths"].items():
            for method, operation in methods.items():
                _ask_for_key(operation, needed(method.upper(), path))
    return described


def _ask_for_key(operation: dict[str, Any], scope: Needed | None) -> None:
    if scope is None:
        return
    operation["security"] = [{"key": []}]
    operation["description"] = f"Needs an API key{'' if scope == 'any' else f' with the scope {scope}'}."
    for status in (401, 403):
        operation["responses"][str(status)] = {
            "description": ERRORS[status],
            "content": {JSON: {"schema": _ref("Error")}},
        }


def _paths() -> dict[str, Any]:
    model = _path_parameter("model")
    version = _path_parameter("version")
    query = [
        {"name": "model", "in": "query", "schema": REFERENCE},
        {"name": "encoding_format", "in": "query", "schema": {"type": "string", "enum": ["float", "base64"]}},
        {"name": "dimensions", "in": "query", "schema": {"type": "integer", "minimum": 1}},
    ]
    binary: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    picture: dict[str, Any] = dict.fromkeys(
        ("image/jpeg", "image/png", "image/webp", "application/octet-stream"), binary
    )
    picture["multipart/form-data"] = {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "array", "minItems": 1, "items": binary["schema"]}},
        }
    }
    paths: dict[str, Any] = {
        "/v1/embeddings": {"post": _post("Embed texts, token ids or images", "EmbeddingRequest", "EmbeddingResponse")},
        "/v1/embeddings/image": {
            "post": {
                **_operation(
                    "Embed pictures sent as they are", "EmbeddingResponse", [400, 404, 408, 413, 415, 429, 503, 504]
                ),
                "parameters": [*query, PRIORITY],
                "requestBody": {"required": True, "content": picture},
            }
        },
        "/v1/models": {"get": _operation("List the versions served", "Any", [])},
        "/v1/models/{model}": {"get": {**_operation("One model or version", "Model", [404]), "parameters": [model]}},
        "/v2": {"get": _operation("Server metadata", "Any", [])},
        "/v2/health/live": {"get": _operation("Liveness", "Any", [])},
        "/v2/health/ready": {"get": _operation("Readiness", "Any", [503])},
        "/health/live": {"get": _operation("Liveness: the process can answer", "Any", [])},
        "/health/ready": {"get": _operation("Readiness: every routed version just embedded something", "Any", [503])},
        "/metrics": {"get": _text("Prometheus metrics of every node of the cluster", "text/plain")},
        "/docs": {"get": _text("This description as a page", "text/html")},
        "/openapi.json": {"get": _operation("This description", "Any", [])},
    }
    for prefix, parameters in (
        ("/v2/models/{model}", [model]),
        ("/v2/models/{model}/versions/{version}", [model, version]),
    ):
        paths[prefix] = {"get": {**_operation("Model metadata", "Any", [404]), "parameters": parameters}}
        paths[f"{prefix}/ready"] = {
            "get": {**_operation("Model readiness", "Any", [404, 503]), "parameters": parameters}
        }
        paths[f"{prefix}/infer"] = {
            "post": {**_post("Infer (KServe v2)", "InferRequest", "Any"), "parameters": [*parameters, PRIORITY]}
        }
    return paths


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _operation(summary: str, schema: str, errors: list[int]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "success", "content": {JSON: {"schema": _ref(schema)}}}
    if schema == "EmbeddingResponse":
        answer["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in ORIGIN_HEADERS.items()
        }
    responses: dict[str, Any] = {"200": answer}
    for status in errors:
        # Readiness answers its own body with 503, everything else the one error shape.
        body = "Any" if schema == "Any" and status == 503 else "Error"
        responses[str(status)] = {"description": ERRORS[status], "content": {JSON: {"schema": _ref(body)}}}
    return {"summary": summary, "responses": responses}


def _post(summary: str, request: str, response: str) -> dict[str, Any]:
    operation = _operation(summary, response, [400, 404, 408, 413, 415, 429, 504])
    operation["parameters"] = [PRIORITY]
    operation["responses"]["503"] = {"description": ERRORS[503], "content": {JSON: {"schema": _ref("Error")}}}
    operation["requestBody"] = {"required": True, "content": {JSON: {"schema": _ref(request)}}}
    return operation


def _text(summary: str, kind: str) -> dict[str, Any]:
    content = {kind: {"schema": {"type": "string"}}}
    return {"summary": summary, "responses": {"200": {"description": "success", "content": content}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def routes(auth: Authenticator) -> list[Route]:
    """The routes of this adapter; the answers are made once, without and with API keys."""
    documents = [document(keys=keys) for keys in (False, True)]
    encoded, pages = [orjson.dumps(each) for each in documents], [_page(each) for each in documents]

    async def openapi(_: Request) -> Response:
        return Response(encoded[auth.required], 200, None, JSON)

    async def docs(_: Request) -> Response:
        return HTMLResponse(pages[auth.required], headers={"content-security-policy": PAGE_POLICY})

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "summary{cursor:pointer;padding:.5rem;border-bottom:1px solid #d0d7de}code,pre{font:14px/1.45 ui-monospace,monospace}"
    "pre{background:#f6f8fa;padding:1rem;overflow:auto}b{display:inline-block;width:4rem;color:#0550ae}"
    "table{border-collapse:collapse}td{padding:.15rem 1rem .15rem 0;vertical-align:top}"
)
# The page has this one style, no script, and loads nothing.
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
PAGE_POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"


def _page(described: dict[str, Any]) -> str:
    """A page that needs no script and no other host, so that it works inside a closed network."""
    sections = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            rows = "".join(
                f"<tr><td>{status}</td><td>{html.escape(answer['description'])}</td></tr>"
                for status, answer in operation["responses"].items()
            )
            content = operation.get("requestBody", {}).get("content", {})
            accepts = f"<p>Accepts {html.escape(', '.join(content))}</p>" if content else ""
            asks = html.escape(operation.get("description", ""))
            title = f"<b>{method.upper()}</b><code>{html.escape(path)}</code> — {html.escape(operation['summary'])}"
            sections.append(f"<details><summary>{title}</summary><p>{asks}</p>{accepts}<table>{rows}</table></details>")
    example = html.escape(
        "curl http://127.0.0.1:8000/v1/embeddings -H 'content-type: application/json' \\\n"
        '  -d \'{"model": "text-embedding", "input": "hello world"}\''
    )
    schemas = html.escape(orjson.dumps(described["components"]["schemas"], option=orjson.OPT_INDENT_2).decode())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>embedserve</title><style>{STYLE}</style>"
        f"<h1>embedserve</h1><p>{html.escape(described['info']['description'])} The machine-readable form is "
        f"<a href=openapi.json>openapi.json</a>.</p><pre>{example}</pre>{''.join(sections)}"
        f"<details><summary>Schemas</summary><pre>{schemas}</pre></details></html>"
    )
