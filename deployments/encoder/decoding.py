"""Encoded images → pixels, each failing alone; the same wherever the threads run that do it."""

from __future__ import annotations

from dataclasses import dataclass

from deployments.contract.items import Item, ItemError
from models.errors import InputError, LimitError
from models.inputs.image import Pixels, decode
from models.inputs.image_header import ImageLimits

Outcome = Pixels | ItemError


@dataclass(frozen=True, slots=True)
class Rules:
    """How the artifact that will embed a picture wants it decoded; travels with the pictures."""

    size: int  # side of the square in pixels
    limits: ImageLimits
    shrink_margin: int = 0  # as models.inputs.image.decode takes it


def decode_item(rules: Rules, item: Item) -> Outcome:
    """Decode one item to uint8 [size, size, 3], or say why it cannot be; raises nothing that an image can cause."""
    if not isinstance(item, bytes):
        return ItemError("this model embeds images, not text", "wrong_modality")
    try:
        return decode(item, rules.size, rules.limits, rules.shrink_margin)
    except LimitError as error:
        return ItemError(str(error), error.code, limit=True)
    except InputError as error:
        return ItemError(str(error), error.code)
    except MemoryError:
        return ItemError("decoding this image takes more memory than there is", "too_large", limit=True)
