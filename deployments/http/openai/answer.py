"""Vectors as OpenAI's clients read them."""

from __future__ import annotations

import base64
from typing import Any, Literal

from starlette.responses import Response

from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbedResult
from deployments.http.response import json_response, origin_headers
from models.errors import InputError

Encoding = Literal["float", "base64"]


def encoding_of(value: Any) -> Encoding:
    """Check ``encoding_format``.

    Raises:
        InputError: neither float nor base64.
    """
    if value is None or value == "float":
        return "float"
    if value == "base64":
        return "base64"
    raise InputError(f"encoding_format must be 'float' or 'base64', not {short_repr(value)}", param="encoding_format")


def embedding_response(result: EmbedResult, encoding: Encoding) -> Response:
    """The answer to ``POST /v1/embeddings``."""
    rows: list[Any]
    if encoding == "base64":
        rows = [base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode("ascii") for row in result.vectors]
    else:
        rows = list(result.vectors)
    body = {
        "object": "list",
        "model": result.label.model,
        "data": [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)],
        "usage": {"prompt_tokens": result.tokens, "total_tokens": result.tokens},
    }
    return json_response(body, headers=origin_headers(result))
