"""What a caller wants embedded, and why an item got no vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from models.errors import InputError, LimitError
from models.modalities import base

Item = base.Item  # a text, ready-made token ids, or an encoded image


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one item got no vector, as the fields of an ``InputError`` or ``LimitError``."""

    message: str
    code: str
    limit: bool = False

    @classmethod
    def of(cls, error: InputError) -> Self:
        """What travels of an error."""
        return cls(str(error), error.code, limit=isinstance(error, LimitError))
