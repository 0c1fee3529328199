"""Texts of an exact number of tokens, each one of its kind, so that no cache has seen it."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

BASE = 1000  # words in use; three of them count to a thousand million, four to a thousand times that
PREFIX = 4  # words that number a text
FILLERS = 256  # endings that texts share in turn


@dataclass(frozen=True)
class Texts:
    """An endless supply of texts of one length."""

    words: tuple[str, ...]
    fillers: tuple[str, ...]

    @classmethod
    def of(cls, tokenizer: Path, tokens: int) -> Texts:
        """Texts of ``tokens`` word pieces, the two special ones included, in words that are one piece each."""
        words = single_piece_words(tokenizer)
        source = random.Random(tokens)
        length = tokens - 2 - PREFIX
        return cls(words, tuple(" ".join(source.choices(words, k=length)) for _ in range(FILLERS)))

    def text(self, number: int) -> str:
        """The text of a number below 10^12; another number gives another text."""
        digits = [self.words[number // BASE**power % BASE] for power in range(PREFIX)]
        return " ".join([*digits, self.fillers[number % len(self.fillers)]])

    def batch(self, first: int, count: int) -> list[str]:
        """``count`` texts from a number on."""
        return [self.text(number) for number in range(first, first + count)]


def single_piece_words(tokenizer: Path) -> tuple[str, ...]:
    """The first thousand plain words that a tokenizer.json knows as one piece."""
    vocabulary: dict[str, int] = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    words = [w for w in vocabulary if w.isascii() and w.isalpha() and w.islower() and 4 <= len(w) <= 9]
    return tuple(words[:BASE])
