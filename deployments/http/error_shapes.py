"""The shapes that errors have in each protocol: what its clients print."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from deployments.contract.paths import ROOT

Shape = Callable[[dict[str, Any]], dict[str, Any]]


def _openai(error: dict[str, Any]) -> dict[str, Any]:
    return {"error": error}


def _embeddings(error: dict[str, Any]) -> dict[str, Any]:
    return {"error": error, "detail": error["message"]}  # Jina's clients read nothing else


def _sentence(error: dict[str, Any]) -> dict[str, Any]:
    return {"error": error["message"], "param": error["param"], "code": error["code"]}


def _tei(error: dict[str, Any]) -> dict[str, Any]:
    kind = "Validation" if error["type"] == "invalid_request_error" else "Backend"
    return {**_sentence(error), "error_type": kind}


def _open_inference(error: dict[str, Any]) -> dict[str, Any]:
    return {"error": error["message"]}


def _cohere(error: dict[str, Any]) -> dict[str, Any]:
    return {"message": error["message"], "param": error["param"], "code": error["code"]}


# By the beginning of a path, the first that matches; everything else has OpenAI's.
SHAPES: Final[tuple[tuple[str, Shape], ...]] = (
    ("/v1/embeddings", _embeddings),
    ("/v1/", _openai),
    ("/v2/embed", _cohere),
    ("/v2", _open_inference),
    ("/embeddings", _embeddings),
    ("/embed", _tei),
    ("/info", _tei),
    ("/api/", _sentence),
    ("/vector", _sentence),
    ("/meta", _sentence),
)


def has_openai_shape(path: str) -> bool:
    """Whether errors of a path have the shape of OpenAI's."""
    return _shape_of(path) in (_openai, _embeddings)


def body_of(method: str, path: str, error: dict[str, Any]) -> dict[str, Any]:
    """An error as the protocol of a path has it.

    Args:
        method: of the request.
        path: of the request.
        error: ``message``, ``type``, ``param`` and ``code``.
    """
    return _tei(error) if (method, path) == ("POST", ROOT) else _shape_of(path)(error)


def _shape_of(path: str) -> Shape:
    return next((shape for prefix, shape in SHAPES if path.startswith(prefix)), _openai)
