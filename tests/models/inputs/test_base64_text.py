"""Base64 that has one meaning is taken; what has none is told what is wrong with it."""

from __future__ import annotations

import base64
import random
import re

import pytest

from models.inputs.base64_text import from_base64

DATA = [random.Random(7).randbytes(size) for size in (1, 2, 3, 4, 100, 5001)] + [bytes(range(256)), b"\xff\xfe\xfb" * 9]
WAYS = {
    "as the standard says": lambda data: base64.b64encode(data).decode(),
    "for URLs": lambda data: base64.urlsafe_b64encode(data).decode(),
    "without padding": lambda data: base64.b64encode(data).decode().rstrip("="),
    "for URLs without padding": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "in lines": lambda data: base64.encodebytes(data).decode(),
    "in Windows' lines": lambda data: base64.encodebytes(data).decode().replace("\n", "\r\n"),
    "with a newline behind it": lambda data: base64.b64encode(data).decode() + "\n",
    "between spaces": lambda data: f"  {base64.b64encode(data).decode()} ",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_base64_is_understood_when_it_is_written(way) -> None:  # type: ignore[no-untyped-def]
    for data in DATA:
        assert from_base64(way(data)) == data


WRONG = {
    "a text": ("a cat!", "character ' ' at position 1"),
    "a path": ("/home/me/cat.jpg", "character '.' at position 12"),
    "another alphabet": ("café", "character 'é' at position 3"),
    "a NUL": ("QUJD\0QUJD", r"character '\x00' at position 4"),
    "quotes": ('"QUJD"', "character '\"' at position 0"),
    "two alphabets": ("ab+/ab-_", "two alphabets"),
    "padding in the middle": ("QUI=QUJD", "position 3, before the end"),
    "too much padding": ("QUI====", "more than two"),
    "a letter too many": ("QUJDQ", "cut off"),
}


@pytest.mark.parametrize(("text", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_base64_is_told_where(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        from_base64(text)
