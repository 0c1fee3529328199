"""Where a long text may be cut before it is tokenised, so that the tokens before the cut stay as they are.

A model keeps its first few hundred tokens, and a tokenizer works on the whole text before it drops the others: 50,000
characters of hex digits took 180 ms for 256 tokens. A text may be cut before a character where the tokenizer always begins
a new word. Which characters these are is taken from the tokenizer's own parts, and each is tried on it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from typing import Any

from tokenizers import Tokenizer

# Each changes a character without regard to what stands beyond the next space or punctuation mark.
NORMALIZERS = frozenset({"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "StripAccents"})
AT_SPACES = frozenset({"Whitespace", "WhitespaceSplit"})  # end a word at every space
AT_EVERY_MARK = "BertPreTokenizer"  # also at every punctuation mark, whatever stands around it
WITHIN_WORDS = frozenset({"ByteLevel", "Digits", "Punctuation", "WhitespaceSplit", "Whitespace"})  # as later steps
CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"  # none has a space
)
ASCII_MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
HAN = ("\u4e00", "\u9fff")  # the block in which BERT makes every character a word
LAST_MARK = 0x20000  # beyond it there are no spaces and no punctuation marks
BEFORE = ("a", "1", "é")  # characters of words, with which a cut is tried


class TextCut:
    """The places of one tokenizer; nowhere for a tokenizer whose parts are not known to allow it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Look at the parts of ``tokenizer``."""
        characters = "".join(re.escape(c) for c in _characters(tokenizer))
        han = "-".join(HAN) if _cuts_han(tokenizer) else ""
        # What stands before a space must be no space: some tokenizers make words of spaces that follow each other.
        self._places = re.compile(rf"[{characters}{han}](?<=\S.)", re.DOTALL) if characters else None

    def beginning(self, text: str, length: int) -> str:
        """At least the first ``length`` characters, up to a place where the text may be cut; all of it where there is none."""
        while self._places is not None and len(text) > length:
            place = self._places.search(text, length, 2 * length)
            if place:
                return text[: place.start()]
            length *= 2
        return text


def _characters(tokenizer: Tokenizer) -> list[str]:
    """Characters before which every text may be cut."""
    if not _local(_state(tokenizer.normalizer)):
        return []
    words = _word_rule(_state(tokenizer.pre_tokenizer))
    candidates = {"": "", "spaces": _spaces(), "marks": _spaces() + _marks()}[words]
    inside = _inside_added_tokens(tokenizer)
    return [c for c in candidates if c not in inside and _begins_a_word(tokenizer, c)]


def _cuts_han(tokenizer: Tokenizer) -> bool:
    """Whether every character of ``HAN`` is a word by itself, in every text."""
    if _state(tokenizer.pre_tokenizer).get("type") != AT_EVERY_MARK or not _local(_state(tokenizer.normalizer)):
        return False
    inside = _inside_added_tokens(tokenizer)
    return not any(HAN[0] <= c <= HAN[1] for c in inside) and all(_begins_a_word(tokenizer, c) for c in HAN)


def _state(part: Any) -> dict[str, Any]:
    """The description of a normalizer or pre-tokenizer, as tokenizer.json has it; empty for none."""
    state: dict[str, Any] = {} if part is None else json.loads(part.__getstate__())
    return state


def _local(normalizer: dict[str, Any]) -> bool:
    kind = normalizer.get("type")
    if kind == "Sequence":
        return all(map(_local, normalizer["normalizers"]))
    if kind == "Replace":
        return bool(normalizer["pattern"] == {"Regex": r"\s+"} and normalizer["content"] == " ")
    return kind is None or kind in NORMALIZERS


def _word_rule(part: dict[str, Any]) -> str:
    """Where words end, whatever the text: at spaces, at every mark too, or nowhere that is known."""
    kind = part.get("type")
    if kind == "Sequence":
        first, *later = part["pretokenizers"] or [{}]
        known = all(step["type"] in WITHIN_WORDS and not step.get("add_prefix_space") for step in later)
        return _word_rule(first) if known else ""
    if kind == AT_EVERY_MARK:
        return "marks"
    if kind == "ByteLevel":
        return "spaces" if part["use_regex"] else ""
    if kind == "Split":
        clip = part["pattern"] == {"Regex": CLIP_WORDS} and part["behavior"] == "Removed" and part["invert"]
        return "spaces" if clip else ""
    return "spaces" if kind in AT_SPACES else ""


def _inside_added_tokens(tokenizer: Tokenizer) -> frozenset[str]:
    """Characters that an added token has behind its first: a cut before one of them could be a cut through it.

    A token that must stand alone as a word also makes the characters of words unfit, since a cut would make it stand alone.
    """
    inside: set[str] = set()
    for token in tokenizer.get_added_tokens_decoder().values():
        inside.update(token.content[1:])
        if token.single_word:
            inside.update("_", HAN[0])
    return frozenset(inside)


def _begins_a_word(tokenizer: Tokenizer, character: str) -> bool:
    """Whether the tokenizer, asked, ends the word before a character."""
    return all(
        _words(tokenizer, before + character + before)[:1] == [_words(tokenizer, before)[0]] for before in BEFORE
    )


def _words(tokenizer: Tokenizer, text: str) -> list[str]:
    normal = text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


@cache
def _of_category(letter: str) -> str:
    return "".join(c for c in map(chr, range(LAST_MARK)) if unicodedata.category(c)[0] == letter)


def _spaces() -> str:
    return "\t\n\r" + _of_category("Z")


def _marks() -> str:
    return "".join({*ASCII_MARKS, *_of_category("P")})
