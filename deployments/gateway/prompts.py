"""Which of a model's prompts a request asks for: by its name, or by what kind of input it is."""

from __future__ import annotations

from typing import Final

from deployments.contract.items import Item
from deployments.contract.model_info import ModelInfo
from deployments.contract.short_repr import short_repr
from models.errors import InputError
from models.inputs.prompted import Prompted

# What protocols call the two sides of a search, and what models call their prompts for them; in the order in which they are
# looked for, as sentence-transformers does it.
SIDES: Final = (
    ("query", "search_query", "retrieval.query", "retrieval_query", "retrieval-query", "question_answering"),
    (
        "document",
        "passage",
        "corpus",
        "search_document",
        "retrieval.passage",
        "retrieval_document",
        "retrieval-document",
    ),
)


def prompted(items: list[Item], name: str | None, kind: str | None, info: ModelInfo) -> list[Item]:
    """The items with the prompt that a request asks for; as they are where the model's usual one, or none, is right.

    Args:
        items: checked ones.
        name: ``prompt_name``.
        kind: ``input_type``, or what another protocol calls it.
        info: of the model.

    Raises:
        InputError: the model has no such prompt; the message lists those that it has.
    """
    named = None if name is None else _named(name, info)
    meant = None if kind is None else _of_kind(kind, info)
    if named is not None and meant not in (None, named):
        raise InputError(
            f"prompt_name {short_repr(named)} and input_type {short_repr(kind)}, whose prompt is {short_repr(meant)}, contradict "
            "each other; send one of them",
            param="prompt_name",
        )
    chosen = meant if named is None else named
    if chosen is None:
        return items
    return [item if isinstance(item, bytes | memoryview | Prompted) else Prompted(chosen, item) for item in items]


def _named(name: str, info: ModelInfo) -> str:
    if name in (info.selectable or ()):
        return name
    raise _unknown("prompt_name", name, info)


def _of_kind(kind: str, info: ModelInfo) -> str | None:
    """The prompt for a kind of input; None where the model makes no difference of it."""
    if not info.prompts:
        return None
    wanted = kind.lower()
    by_word = {name.lower(): name for name in info.selectable or ()}
    if wanted in by_word:
        return by_word[wanted]
    side = next((words for words in SIDES if wanted in words), None)
    found = next((by_word[word] for word in side or () if word in by_word), None)
    if found is not None:
        return found
    if side is None or info.selectable is None or not set(info.prompts) <= set(info.selectable):
        raise _unknown("input_type", kind, info)
    return None


def _unknown(field: str, value: str, info: ModelInfo) -> InputError:
    if not info.prompts:
        return InputError(
            f"{field} {short_repr(value)}: this model has no prompts; leave it out", param=field, code="unknown_prompt"
        )
    named = ", ".join(info.selectable or info.prompts)
    if info.selectable is None:
        why = (
            "the replica that serves it is of an earlier release and takes no names; write the prompt before each text"
        )
    elif not set(info.prompts) <= set(info.selectable):
        why = "it pools without its prompt, so that only the one that is built in can be served"
    else:
        why = "send one of them, or write what you mean before each text"
    return InputError(
        f"{field} {short_repr(value)} is not offered: this model's prompts are {named}; {why}",
        param=field,
        code="unknown_prompt",
    )
