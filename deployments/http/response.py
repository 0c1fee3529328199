"""What answers have in common: JSON, and the headers that say which artifact computed the vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from deployments.gateway.embedding_service import EmbedResult
from deployments.gateway.turns import SLICE, Turns

JSON = (b"content-type", b"application/json")


class JsonResponse(Response):
    """A body that is JSON already. Starlette's own way to the headers takes 2 µs, a fortieth of a cached request."""

    def __init__(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        """Answer with ``content``; the names of ``headers`` are lower case."""
        self.status_code, self.body, self.background = status, content, None
        self.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self.raw_headers += ((b"content-length", b"%d" % len(content)), JSON)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON, in which vectors may stand as numpy arrays."""
    return JsonResponse(_json(body), status, headers or {})


async def rows_json(entries: Callable[[NDArray[Any], int], Any], vectors: NDArray[Any], turns: Turns) -> Any:
    """Something for each vector as a value in a body, made a slice at a time where they are many.

    Args:
        entries: makes it of vectors [n, dimensions], of which the first is the ``start``-th: a list or an array.
        vectors: of a result.
        turns: of long lists.
    """
    if len(vectors) <= SLICE:
        return entries(vectors, 0)
    parts = []
    async for part in turns.slices(len(vectors)):
        parts.append(_json(entries(vectors[part], part.start))[1:-1])
    return orjson.Fragment(b"".join((b"[", b",".join(parts), b"]")))


async def list_response(
    body: dict[str, Any],
    into: dict[str, Any],
    entries: Callable[[NDArray[Any], int], Any],
    result: EmbedResult,
    turns: Turns,
) -> Response:
    """JSON with something for each vector, made a slice at a time where they are many.

    Args:
        body: the rest of it.
        into: the part of ``body`` whose ``data`` it is.
        entries: makes it of vectors [n, dimensions], of which the first is the result's ``start``-th: a list or an array.
        result: the vectors.
        turns: of long lists.
    """
    into["data"] = await rows_json(entries, result.vectors, turns)
    return json_response(body, headers=origin_headers(result))


def _json(body: Any) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def origin_headers(result: EmbedResult) -> dict[str, str]:
    """What every answer that carries vectors says of their origin."""
    headers = {"x-model": result.label.model, "x-model-hash": result.label.hash, "x-cache": result.cache}
    if result.cut:
        headers["x-truncated"] = str(result.cut)
        headers["x-truncated-by"] = str(result.behind)
    if result.label.numerics:
        headers["x-model-numerics"] = result.label.numerics
    if result.label.synthetic:
        headers["x-model-weights"] = "synthetic"
    if result.label.batch_dependent:
        headers["x-model-batch-dependent"] = "true"
    if result.label.adapted:
        headers["x-model-adapted"] = "{}; hash={}".format(*result.label.adapted)
    return headers
