"""Vectors as OpenAI's clients read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from deployments.gateway.embedding_service import EmbedResult
from deployments.gateway.turns import Turns
from deployments.http.accept import prefers
from deployments.http.fields import Wanted
from deployments.http.headers import header_of
from deployments.http.outputs import as_asked, rows_of
from deployments.http.printed import Printed
from deployments.http.response import list_response, origin_headers

RAW, JSON = "application/octet-stream", "application/json"


async def embedding_response(
    request: Request, result: EmbedResult, wanted: Wanted, turns: Turns, printed: Printed
) -> Response:
    """The answer to ``POST /v1/embeddings``: JSON, or the bytes alone where the request accepts those."""
    accept = header_of(request, b"accept")
    if accept is not None and RAW in accept.lower() and prefers(accept, RAW, JSON):
        return raw_response(result, wanted)

    kept = result.kept if wanted.dtype == "float" and wanted.encoding == "float" else None

    def entries(vectors: NDArray[np.float32], start: int) -> list[Any]:
        rows = printed.texts(kept) if kept is not None else rows_of(vectors, wanted.dtype, wanted.encoding)
        found = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows, start)]
        if result.labels is not None:
            for entry, label in zip(found, result.labels[start : start + len(found)], strict=True):
                entry |= {"model": label.model, "hash": label.hash}
        return found

    body = {
        "object": "list",
        # Mistral's client demands one. The artifact's, so that equal requests have equal answers; x-request-id names the request.
        "id": f"embd-{result.label.hash[:24]}",
        "model": result.label.model,
        "data": None,
        "usage": {"prompt_tokens": result.tokens, "total_tokens": result.tokens},
    }
    return await list_response(body, body, entries, result, turns)


def raw_response(result: EmbedResult, wanted: Wanted) -> Response:
    """The numbers alone, row by row, little-endian; headers say how many a row has and what they are."""
    numbers = as_asked(result.vectors, wanted.dtype)
    headers = {"x-dimensions": str(numbers.shape[1]), "x-output-dtype": wanted.dtype, **origin_headers(result)}
    return Response(numbers.tobytes(), 200, headers, RAW)
