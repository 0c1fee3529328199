"""Figures of one input whose distribution says whether the traffic changes; what it is about is none of them."""

from __future__ import annotations

import numpy as np

from models.inputs.image_header import size_of
from models.inputs.text import TextTokenizer
from models.inputs.token_ids import SPECIAL
from models.modalities.base import Item, Row


def text_traits(item: Item, row: Row, tokenizer: TextTokenizer) -> dict[str, float]:
    """How the vocabulary fits a text of whatever language: pieces unknown, repeated, common; characters to a piece.

    Args:
        item: the text, or its token ids.
        row: int32 [t], its token ids with start and end.
        tokenizer: that made them.
    """
    inner = row[1:-1] if len(row) > SPECIAL else row
    found = {
        "tokens": float(len(row)),
        "unknown": float(np.mean(inner == tokenizer.unknown)),
        "repeated": 1 - len(np.unique(inner)) / len(inner),
        "rarity": float(np.log2(inner.astype(np.float64) + 1).mean()),  # vocabularies are sorted by frequency, mostly
    }
    if isinstance(item, str) and len(row) < tokenizer.max_length:  # of a cut one nobody knows
        found["characters_per_token"] = len(item) / len(inner)
    return found


def picture_traits(item: Item) -> dict[str, float]:
    """The size of an encoded picture: bytes, and where its header tells them, megapixels and width to height."""
    if not isinstance(item, bytes | memoryview):
        return {}
    found = {"bytes": float(len(item))}
    size = size_of(item)
    if size is not None and min(size) > 0:
        found |= {"megapixels": size[0] * size[1] / 1e6, "aspect": size[0] / size[1]}
    return found
