"""Ollama: what its own SDKs and langchain-ollama send."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbeddingService, EmbedResult
from deployments.gateway.model_names import names_of
from deployments.gateway.model_registry import ModelRegistry
from deployments.http.fields import wanted_of
from deployments.http.headers import routing_key_of
from deployments.http.openai.input import model_of, parse_input
from deployments.http.outputs import rows_of
from deployments.http.request import embed_request, parse_json, read_body
from deployments.http.response import json_response, origin_headers, rows_json
from models.errors import InputError

LATEST: Final = ":latest"  # what its clients put behind a name without a tag
# Of ``options``: how its own engine computes and samples. None changes a vector here.
ENGINE: Final = frozenset(
    [
        "numa",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "low_vram",
        "f16_kv",
        "logits_all",
        "vocab_only",
        "use_mmap",
        "use_mlock",
        "num_thread",
        "num_keep",
        "seed",
        "num_predict",
        "top_k",
        "top_p",
        "min_p",
        "tfs_z",
        "typical_p",
        "repeat_last_n",
        "temperature",
        "repeat_penalty",
        "presence_penalty",
        "frequency_penalty",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "penalize_newline",
        "stop",
    ]
)


def routes(embeddings: EmbeddingService) -> list[Route]:
    """The routes of this adapter."""
    registry = embeddings.registry

    async def embed(request: Request) -> Response:
        began = time.perf_counter_ns()
        body, result, rows = await run(embeddings, request, "input")
        answer = {
            "model": body["model"],
            "embeddings": rows,
            "total_duration": time.perf_counter_ns() - began,
            "load_duration": 0,
            "prompt_eval_count": result.tokens,
        }
        return json_response(answer, headers=origin_headers(result))

    async def embed_one(request: Request) -> Response:
        _, result, rows = await run(embeddings, request, "prompt", most=1)
        return json_response({"embedding": rows[0]}, headers=origin_headers(result))

    async def tags(_: Request) -> Response:
        return json_response({"models": [tag(registry, name) for name in names_of(registry.config)]})

    async def version(_: Request) -> Response:
        return json_response({"version": "0.0.0-embedserve"})

    return [
        Route("/api/embed", embed, methods=["POST"], include_in_schema=False),
        Route("/api/embeddings", embed_one, methods=["POST"], include_in_schema=False),
        Route("/api/tags", tags, include_in_schema=False),
        Route("/api/version", version, include_in_schema=False),
    ]


async def run(
    embeddings: EmbeddingService, request: Request, field: str, most: int | None = None
) -> tuple[dict[str, Any], EmbedResult, Any]:
    """Embed what stands in a field of a request; returns its body without it, the result, and the vectors for JSON.

    The answer has room for ``most`` vectors, where it is not as long as need be.

    Raises:
        EmbedserveError: as ``embed`` of the service; or a field is wrong.
    """
    registry = embeddings.registry
    limits = registry.config.limits
    body = parse_json(await read_body(request, limits), limits)  # its pages call it by curl without a content type
    given = body.pop(field, None)
    wanted = wanted_of(body)
    model = model_of(body).removesuffix(LATEST)
    check_options(body.get("options"), registry, model)
    items = parse_input(given, limits.items, field)
    if most is not None and len(items) > most:
        raise InputError(f"{field} holds {len(items)} texts and must be one; send a list to /api/embed", param=field)
    asked = embed_request(request, model, items, wanted, key=routing_key_of(request), param=field)
    result = await embeddings.embed(asked)
    rows = await rows_json(
        lambda vectors, _: rows_of(vectors, wanted.dtype, wanted.encoding), result.vectors, embeddings.turns
    )
    return body, result, rows


def check_options(options: Any, registry: ModelRegistry, model: str) -> None:
    """Refuse an option that would have to change the vectors.

    Raises:
        InputError: it is none of those of Ollama's engine, or a shorter context than the model's own.
    """
    if options is None:
        return
    if not isinstance(options, Mapping):
        raise InputError(f"options must be an object, not {short_repr(options)}", param="options")
    for name, value in options.items():
        if value is None or name in ENGINE:
            continue
        info = registry.resolve(model).info
        most = info.max_tokens if info else None
        if name == "num_ctx" and type(value) is int and (most is None or value >= most):
            continue
        reads = "this model" if most is None else f"this model reads {most} tokens of each text, and"
        raise InputError(
            f"options.{name[:40]}: {short_repr(value)} is not offered; {reads} has no other options",
            param=f"options.{name[:40]}",
        )


def tag(registry: ModelRegistry, name: str) -> dict[str, Any]:
    """A name that requests may use, as Ollama lists it."""
    version = registry.resolve(name)
    info = version.info
    return {
        "name": name,
        "model": name,
        "modified_at": "1970-01-01T00:00:00Z",
        "size": 0,
        "digest": info.label.hash if info else "",
        "details": {
            "format": "onnx",
            "family": version.modality,
            "families": [version.modality],
            "parameter_size": "",
            "quantization_level": info.precision if info else "",
        },
    }
