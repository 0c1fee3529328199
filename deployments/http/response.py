"""What answers have in common: JSON, and the headers that say which artifact computed the vectors."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from deployments.gateway.embedding_service import EmbedResult


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON, in which vectors may stand as numpy arrays."""
    return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), status, headers, "application/json")


def origin_headers(result: EmbedResult) -> dict[str, str]:
    """What every answer that carries vectors says of their origin."""
    headers = {"x-model": result.label.model, "x-model-hash": result.label.hash, "x-cache": result.cache}
    if result.label.synthetic:
        headers["x-model-weights"] = "synthetic"
    return headers
