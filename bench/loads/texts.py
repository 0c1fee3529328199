"""Texts of an exact number of tokens, no two alike, so that no cache has seen one before."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path

BASE = 1000  # words in use: a text's number is written in base 1000, a word a digit
PREFIX = 4  # words of the number: 10^12 different texts
FILLERS = 256  # endings, which texts use in turn


@dataclass(frozen=True)
class Texts:
    """An endless supply of texts of one length."""

    words: tuple[str, ...]
    fillers: tuple[str, ...]

    @classmethod
    def of(cls, tokenizer: Path, tokens: int) -> Texts:
        """Texts of ``tokens`` tokens, the two special ones included, from words that are one token each."""
        words = single_piece_words(tokenizer)
        source = random.Random(tokens)
        length = tokens - 2 - PREFIX
        return cls(words, tuple(" ".join(source.choices(words, k=length)) for _ in range(FILLERS)))

    def text(self, number: int) -> str:
        """The text of a number below 10^12."""
        digits = [self.words[number // BASE**power % BASE] for power in range(PREFIX)]
        return " ".join([*digits, self.fillers[number % len(self.fillers)]])

    def batch(self, first: int, count: int) -> list[str]:
        """``count`` texts from a number on."""
        return [self.text(number) for number in range(first, first + count)]


def single_piece_words(tokenizer: Path) -> tuple[str, ...]:
    """The first thousand plain words that are one token of a tokenizer.json."""
    vocabulary: dict[str, int] = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    words = [w for w in vocabulary if w.isascii() and w.isalpha() and w.islower() and 4 <= len(w) <= 9]
    return tuple(words[:BASE])
