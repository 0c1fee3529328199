"""Validation errors of pydantic as messages of this project."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError


def describe(error: ValidationError, prefix: str = "") -> str:
    """Each problem of a validation as ``key: what is wrong``, without pydantic's links and type names."""
    problems = []
    for item in error.errors():
        key = prefix + ".".join(str(part) for part in item["loc"]) or "document"
        problems.append(f"{key}: {item['msg'].removeprefix('Value error, ')} (got {item['input']!r:.80})")
    return "; ".join(problems)


def one_of(names: Iterable[str]) -> str:
    """The allowed values of a key, as messages list them: ``'fp32', 'fp16' or 'int8'``."""
    *rest, last = map(repr, names)
    return f"{', '.join(rest)} or {last}" if rest else last
