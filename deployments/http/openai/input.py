"""The fields of OpenAI's requests."""

from __future__ import annotations

from typing import Any

from deployments.contract.items import Item
from deployments.contract.short_repr import kind_of, short_repr
from models.errors import InputError, LimitError

TAGS = ("text", "image")
MAX_ID = 2**31 - 1


def parse_input(value: Any, limit: int, name: str = "input") -> list[Item]:
    """The items of OpenAI's ``input``, which has four forms: a string, strings, token ids, lists of token ids.

    Raises:
        InputError: it has another form; the message names the index.
        LimitError: it has more items than ``limit``.
    """
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        given = "missing" if value is None else kind_of(value)
        raise InputError(
            f"{name} is {given}; send a string, a list of strings, a list of token ids or a list of such lists",
            param=name,
        )
    if not value:
        raise InputError(f"{name} is an empty list; send at least one item", param=name, code="empty_input")
    if isinstance(value[0], int) and not isinstance(value[0], bool):
        return [_token_ids(value, name)]
    if len(value) > limit:
        raise LimitError(f"{name} has {len(value)} items, the limit is {limit}", param=name)
    if isinstance(value[0], str):
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise _mixed(name, index, item, "a string")
        return value
    if isinstance(value[0], list):
        return [_token_list(name, index, item) for index, item in enumerate(value)]
    raise _mixed(name, 0, value[0], "a string or a list of token ids")


def _token_list(name: str, index: int, item: Any) -> Item:
    if not isinstance(item, list):
        raise _mixed(name, index, item, "a list of token ids")
    if not item:
        raise InputError(f"{name}[{index}] is empty", param=f"{name}[{index}]", code="empty_input")
    return _token_ids(item, f"{name}[{index}]")


def _token_ids(values: list[Any], where: str) -> tuple[int, ...]:
    for value in values:
        if type(value) is not int or not 0 <= value <= MAX_ID:
            raise InputError(f"{where} holds {short_repr(value)} where a token id is expected", param=where)
    return tuple(values)


def _mixed(name: str, index: int, item: Any, wanted: str) -> InputError:
    where = f"{name}[{index}]"
    return InputError(f"{where} is {kind_of(item)}; {wanted} is expected", param=where)


def tagged_input(value: Any) -> tuple[Any, list[str] | None]:
    """Jina's form, ``[{"text": ...}, {"image": ...}]``: the strings, and the modality of each; else what came, and nothing.

    Raises:
        InputError: an item has another form.
    """
    if type(value) is not list or not value or dict not in map(type, value):
        return value, None
    kinds, strings = [], []
    for index, item in enumerate(value):
        ((kind, content),) = item.items() if isinstance(item, dict) and len(item) == 1 else ((None, None),)
        if kind not in TAGS or not isinstance(content, str):
            where = f"input[{index}]"
            raise InputError(f"{where} must be {{'text': a string}} or {{'image': base64}}", param=where)
        kinds.append(kind)
        strings.append(content)
    return strings, kinds


def model_of(body: dict[str, Any]) -> str:
    """The model that a request names.

    Raises:
        InputError: it names none.
    """
    value = body.get("model")
    if not isinstance(value, str) or not value:
        raise InputError("model must be a string that names a model; GET /v1/models lists them", param="model")
    return value


def user_of(body: dict[str, Any]) -> str | None:
    """OpenAI's ``user``, the routing key of a request that sends no other.

    Raises:
        InputError: not a string.
    """
    user = body.get("user")
    if user is not None and not isinstance(user, str):
        raise InputError(f"user must be a string, not {kind_of(user)}", param="user")
    return user or None
