"""Vectors as OpenAI's clients read them."""

from __future__ import annotations

import base64
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from deployments.contract.short_repr import short_repr
from deployments.gateway.embedding_service import EmbedResult
from deployments.gateway.turns import Turns
from deployments.http.response import list_response
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


async def embedding_response(result: EmbedResult, encoding: Encoding, turns: Turns) -> Response:
    """The answer to ``POST /v1/embeddings``."""

    def entries(vectors: NDArray[np.float32], start: int) -> list[Any]:
        rows: list[Any] = _base64(vectors) if encoding == "base64" else list(vectors)
        return [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows, start)]

    body = {
        "object": "list",
        "model": result.label.model,
        "data": None,
        "usage": {"prompt_tokens": result.tokens, "total_tokens": result.tokens},
    }
    return await list_response(body, body, entries, result, turns)


def _base64(vectors: NDArray[np.float32]) -> list[str]:
    return [base64.b64encode(row.astype("<f4", copy=False).tobytes()).decode("ascii") for row in vectors]
