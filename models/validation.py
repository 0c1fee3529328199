"""Validation errors of pydantic as messages of this project."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from models.redaction import redacted, without_secrets


def describe(error: ValidationError, prefix: str = "") -> str:
    """Each problem of a validation as ``key: what is wrong``, without pydantic's links and type names, and without secrets."""
    problems = []
    for item in error.errors():
        names = [str(part) for part in item["loc"]]
        key = prefix + ".".join(names) or "document"
        got = redacted(repr(without_secrets(names[-1] if names else "", item["input"])))
        problems.append(f"{key}: {redacted(item['msg'].removeprefix('Value error, '))} (got {got:.80})")
    return "; ".join(problems)


def one_of(names: Iterable[str]) -> str:
    """The allowed values of a key, as messages list them: ``'fp32', 'fp16' or 'int8'``."""
    *rest, last = map(repr, names)
    return f"{', '.join(rest)} or {last}" if rest else last
