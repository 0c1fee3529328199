"""Checks of a request's inputs, before anything is queued or computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from deployments.config.limits import Limits
from deployments.contract.embedding import Embedding
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from models.errors import InputError, LimitError
from models.modalities import MODALITIES


def checked_items(items: Sequence[Item], param: str, info: ModelInfo, limits: Limits) -> list[Item]:
    """Check the items of a request and turn base64 into bytes.

    Args:
        items: texts, token ids, or images (bytes, or base64 as text).
        param: the field that errors name.
        info: of the model that will embed them.
        limits: what is refused.

    Returns:
        The items in the same order, images as bytes.

    Raises:
        LimitError: too many items, or one too large.
        InputError: an item is empty, of the wrong modality, or not base64.
    """
    if not items:
        raise InputError(f"{param} is empty; send at least one item", param=param, code="empty_input")
    if len(items) > limits.items:
        raise LimitError(f"{param} has {len(items)} items, the limit is {limits.items}", param=param)
    check = MODALITIES[info.modality].check
    if len(items) == 1:
        return [check(items[0], param, limits) if len(items[0]) else _refuse_empty(param)]
    return [
        check(item, f"{param}[{i}]", limits) if len(item) else _refuse_empty(f"{param}[{i}]")
        for i, item in enumerate(items)
    ]


def _refuse_empty(where: str) -> NoReturn:
    raise InputError(f"{where} is empty", param=where, code="empty_input")


def refusal(item: Item, modality: str, limits: Limits) -> ItemError | None:
    """Why an item may not be computed, as far as a quick look tells; None for all that may.

    Asked only for what no cache answered: a vector that is there needs no computing.
    """
    error = MODALITIES[modality].refusal(item, limits)
    return None if error is None else ItemError(str(error), error.code, limit=isinstance(error, LimitError))


def refuse_cut(found: Sequence[Embedding], param: str, info: ModelInfo) -> None:
    """Refuse a request that may not be cut and was.

    Raises:
        InputError: names the first item that is longer than the model reads, and by how much.
    """
    for index, one in enumerate(found):
        unknown = one.cut is None and one.tokens >= (info.max_tokens or 0)  # an encoder of an earlier release
        if one.cut or unknown:
            where = f"{param}[{index}]" if len(found) > 1 else param
            behind = f"{one.cut} characters (or token ids)" if one.cut else "something"
            raise InputError(
                f"{where} is too long: this model reads {info.max_tokens} tokens, and {behind} of it would not be read; shorten it, "
                "or let it be cut with truncate: true",
                param=where,
                code="input_too_long",
            )


def checked_dimensions(dimensions: int | None, full: int) -> int:
    """How many dimensions a request's vectors get; ``full`` where it does not say.

    Raises:
        InputError: it asks for less than 1 or more than ``full``.
    """
    if dimensions is None:
        return full
    if not 1 <= dimensions <= full:
        raise InputError(f"dimensions must be from 1 to {full} for this model, not {dimensions}", param="dimensions")
    return dimensions
