"""Whether config.json and the weights beside it are of one model: a graph of both would otherwise compute a third one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from models.errors import ArtifactError
from models.graph.linear import Weights


def whole(config: dict[str, Any], key: str, default: int | None = None, *, least: int = 1) -> int:
    """A whole number of config.json.

    Raises:
        ArtifactError: it is something else, or below ``least``.
        KeyError: it is missing, and there is no default.
    """
    value = config[key] if default is None else config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArtifactError(f"config.json: {key} is {value!r:.60}, and has to be a whole number of at least {least}")
    return value


def number(config: dict[str, Any], key: str, default: float | None = None) -> float:
    """A number of config.json that is greater than 0.

    Raises:
        ArtifactError: it is something else.
        KeyError: it is missing, and there is no default.
    """
    value = config[key] if default is None else config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ArtifactError(f"config.json: {key} is {value!r:.60}, and has to be a number greater than 0")
    return float(value)


def require_padding(config: dict[str, Any], default: int = 0) -> None:
    """Refuse a ``pad_token_id`` that is no token's, as libraries do; null is taken.

    Raises:
        ArtifactError: it is none.
    """
    if config.get("pad_token_id", default) is not None:
        padding, words = whole(config, "pad_token_id", default, least=0), config.get("vocab_size")
        if isinstance(words, int) and padding >= words:
            raise ArtifactError(f"config.json: pad_token_id is {padding}, and vocab_size {words}")


def plain_object(config: dict[str, Any], key: str, known: set[str]) -> dict[str, Any]:
    """An object of config.json; empty where there is none.

    Raises:
        ArtifactError: it is something else, or has other keys than ``known``.
    """
    value = config.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not set(value) <= known:
        raise ArtifactError(f"config.json: {key} is {value!r:.80}; known in it are {', '.join(sorted(known))}")
    return value


def require_shapes(weights: Weights, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights of other shapes than config.json says.

    Raises:
        ArtifactError: names the first of them.
        KeyError: one is missing.
    """
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ArtifactError(
                f"config.json asks for {name} of shape {list(shape)}, and the weights have {list(weights[name].shape)}"
            )


def require_heads(hidden: int, heads: int) -> None:
    """Refuse a number of attention heads that does not divide the hidden size.

    Raises:
        ArtifactError: it does not.
    """
    if hidden % heads:
        raise ArtifactError(f"config.json: {heads} attention heads do not divide a hidden size of {hidden}")
