"""What a caller wants embedded, and why an item got no vector."""

from __future__ import annotations

from dataclasses import dataclass

from models.modalities import base

Item = base.Item  # a text, ready-made token ids, or an encoded image


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one item got no vector, as the fields of an ``InputError`` or ``LimitError``."""

    message: str
    code: str
    limit: bool = False
