"""Prompts that families of models were trained with and whose folders do not say: their pages do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from models.errors import ConfigError
from models.validation import one_of

BGE_EN: Final = "Represent this sentence for searching relevant passages: "
BGE_ZH: Final = "为这个句子生成表示以用于检索相关文章："
KNOWN: Final[Mapping[str, Mapping[str, str]]] = {
    "e5": {
        "query": "query: ",
        "document": "passage: ",
    },  # and the multilingual ones; those with instruct in their name differ
    "bge-en": {"query": BGE_EN, "document": ""},  # and other models whose pages name the same sentence
    "bge-zh": {"query": BGE_ZH, "document": ""},
}


def prompts_of(said: Iterable[str]) -> dict[str, str] | None:
    """Prompts by name, as a person says them: ``NAME=TEXT``, or the name of a family; None where nothing is said.

    Raises:
        ConfigError: it is neither.
    """
    found: dict[str, str] = {}
    for one in said:
        name, equals, text = one.partition("=")
        if equals and name:
            found[name] = text
        elif one in KNOWN:
            found |= KNOWN[one]
        else:
            raise ConfigError(f"--prompt must be NAME=TEXT, or {one_of(KNOWN)}, not {one!r:.60}")
    return found or None
