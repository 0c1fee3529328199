"""Checks of a request's inputs, before anything is queued or computed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from deployments.config.limits import Limits
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from models.errors import InputError, LimitError
from models.inputs.image_header import ImageLimits, check_header


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
    return [
        _checked(item, f"{param}[{i}]" if len(items) > 1 else param, info.modality, limits)
        for i, item in enumerate(items)
    ]


def _checked(item: Item, where: str, modality: str, limits: Limits) -> Item:
    if len(item) == 0:
        raise InputError(f"{where} is empty", param=where, code="empty_input")
    if modality == "image":
        if isinstance(item, tuple):
            raise InputError(
                f"{where}: token ids are text; this model embeds images", param=where, code="wrong_modality"
            )
        data = image_bytes(item, where, limits) if isinstance(item, str) else item
        if len(data) > limits.image_bytes:
            raise LimitError(f"{where} has {len(data)} bytes, the limit is {limits.image_bytes}", param=where)
        return data
    if isinstance(item, bytes):
        raise InputError(f"{where}: this model embeds text, not images", param=where, code="wrong_modality")
    if isinstance(item, str) and len(item) > limits.characters:
        raise LimitError(f"{where} has {len(item)} characters, the limit is {limits.characters}", param=where)
    if isinstance(item, tuple) and len(item) > limits.tokens:
        raise LimitError(f"{where} has {len(item)} token ids, the limit is {limits.tokens}", param=where)
    return item


def image_bytes(text: str, where: str, limits: Limits) -> bytes:
    """Decode a ``data:image/...;base64,`` URI or bare base64.

    Args:
        text: the URI or the base64.
        where: the field that errors name.
        limits: the size of an image, checked before and so without decoding.

    Raises:
        InputError: it is neither.
        LimitError: the image is larger than the limit allows.
    """
    if text[:8].lower().startswith(("http://", "https://")):
        raise InputError(
            f"{where}: fetching images by URL is switched off here (fetch.hosts in the gateway's user_config would "
            "allow it); send a data: URI or base64",
            param=where,
            code="url_not_allowed",
        )
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().startswith("data:image/") or not head.lower().endswith(";base64"):
            raise InputError(
                f"{where}: a data URI must begin with 'data:image/...;base64,'", param=where, code="invalid_image"
            )
    if len(text) * 3 // 4 > limits.image_bytes + 3:
        raise LimitError(
            f"{where} has about {len(text) * 3 // 4} bytes, the limit is {limits.image_bytes}", param=where
        )
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            f"{where}: neither a data:image/...;base64, URI nor base64 of an image", param=where, code="invalid_image"
        ) from error
    if not data:
        raise InputError(f"{where} is empty", param=where, code="empty_input")
    return data


def image_refusal(item: Item, limits: Limits) -> ItemError | None:
    """Why the header of an encoded image forbids decoding it; None where it may be computed, and for text.

    Takes 10 µs for a JPEG. Only inputs that no cache answered need it: a vector that is there needs no decoding.
    """
    if not isinstance(item, bytes):
        return None
    try:
        check_header(item, ImageLimits(limits.image_formats, limits.image_pixels))
    except InputError as error:
        return ItemError(str(error), error.code, limit=isinstance(error, LimitError))
    return None


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
