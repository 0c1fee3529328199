"""Validation errors of pydantic as messages of this project."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from models.redaction import redacted, without_secrets


def describe(error: ValidationError, prefix: str = "", schema: type[BaseModel] | None = None) -> str:
    """Each problem of a validation as ``key: what is wrong``, without pydantic's links and type names, and without secrets.

    With the schema, a key that it does not know is told with the nearest that it does.
    """
    problems = []
    for item in error.errors():
        names = [str(part) for part in item["loc"]]
        key = prefix + ".".join(names) or "document"
        if schema is not None and item["type"] == "extra_forbidden":
            problems.append(unknown_key(key, names[-1], _known(schema, item["loc"][:-1])))
            continue
        got = redacted(repr(without_secrets(names[-1] if names else "", item["input"])))
        problems.append(f"{key}: {redacted(item['msg'].removeprefix('Value error, '))} (got {got:.80})")
    return "; ".join(problems)


def unknown_key(path: str, name: str, known: Iterable[str]) -> str:
    """That a key is unknown, and which was probably meant, or which there are."""
    known = sorted(known)
    if near := difflib.get_close_matches(name, known, 1) or _same_letters(name, known):
        return f"unknown key {path!r}; did you mean {near[0]!r}?"
    return f"unknown key {path!r}; allowed: {', '.join(known) or 'none'}"


def _same_letters(name: str, known: list[str]) -> list[str]:
    """Those that differ only in case and separators, as ``max-replicas`` and ``maxReplicas`` do."""

    def plain(text: str) -> str:
        return text.replace("_", "").replace("-", "").lower()

    return [one for one in known if plain(one) == plain(name)]


def _known(schema: Any, way: Iterable[Any]) -> list[str]:
    """The keys that a schema knows at a place; none where it is not clear which they are."""
    for part in way:
        schema = _bare(schema)
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            field = schema.model_fields.get(part)
            schema = field.annotation if field else None
        else:
            schema = (typing.get_args(schema) or [None])[-1]  # what a mapping or list holds
    schema = _bare(schema)
    return list(schema.model_fields) if isinstance(schema, type) and issubclass(schema, BaseModel) else []


def _bare(schema: Any) -> Any:
    """A type without ``None`` and without what annotates it."""
    while typing.get_origin(schema) in (typing.Annotated, typing.Union, types.UnionType):
        schema = next(arg for arg in typing.get_args(schema) if arg is not type(None))
    return schema


def one_of(names: Iterable[str]) -> str:
    """The allowed values of a key, as messages list them: ``'fp32', 'fp16' or 'int8'``."""
    *rest, last = map(repr, names)
    return f"{', '.join(rest)} or {last}" if rest else last
