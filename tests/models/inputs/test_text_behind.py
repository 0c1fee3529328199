"""How much of an input lies behind where the model stops reading, without reading all of it."""

from __future__ import annotations

import time

import pytest
from tokenizers import Tokenizer

from models.inputs.text import TextTokenizer
from models.modalities.text import TextEmbedder
from tests.faults.hostile.json_bodies import TEXTS

WORDS = {
    "words": "word ",
    "words in lines": "word\r\n",
    "other scripts": "Ünïcödé 漢字 😀 ",
    "Han without spaces": "漢字",
    "one long word": "x",
    "marks": "?! ",
    "letters with marks that are taken off": "a\u0301e\u0300",
}


@pytest.fixture(scope="module")
def tokenizer(text_embedder: TextEmbedder) -> TextTokenizer:
    return text_embedder.tokenizer


@pytest.fixture(scope="module")
def whole(text_embedder: TextEmbedder) -> Tokenizer:
    """The same tokenizer, which cuts nothing."""
    assert text_embedder.artifact.tokenizer is not None
    found = Tokenizer.from_file(str(text_embedder.artifact.tokenizer))
    found.no_truncation()
    found.no_padding()
    return found


def check(tokenizer: TextTokenizer, whole: Tokenizer, text: str) -> None:
    behind, most, everything = tokenizer.behind(text), tokenizer.max_length, whole.encode(text)
    cut = len(everything.ids) > most
    # The last token that is kept stands before the end token.
    assert behind == (len(text) - everything.offsets[most - 2][1] if cut else 0)


@pytest.mark.parametrize("unit", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("end", ["", "   \n", " \u200b", "."], ids=["", "spaces", "what is no space", "a mark"])
def test_it_is_what_lies_behind_the_last_token_that_is_kept(
    tokenizer: TextTokenizer, whole: Tokenizer, unit: str, end: str
) -> None:
    tokens = len(whole.encode(unit * 8).ids) - 2
    just = max(1, (tokenizer.max_length - 2) * 8 // max(tokens, 1))
    for count in (1, just - 1, just, just + 1, 3 * just, 40 * just):
        check(tokenizer, whole, unit * max(count, 1) + end)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_hostile_texts_too(tokenizer: TextTokenizer, whole: Tokenizer, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        pytest.skip("no tokenizer takes it")
    if text.strip():
        check(tokenizer, whole, text[:20_000])


def test_a_text_of_a_million_characters_costs_no_more_than_its_beginning(tokenizer: TextTokenizer) -> None:
    text = "some words of a long text. " * 40_000
    began = time.process_time()
    assert tokenizer.behind(text) > 1_000_000
    assert time.process_time() - began < 1  # all of it takes several times as long


def test_ids_are_counted_as_ids(tokenizer: TextTokenizer) -> None:
    most = tokenizer.max_length - 2
    assert [tokenizer.behind([7592] * n) for n in (1, most, most + 1, most + 1000)] == [0, 0, 1, 1000]
    assert tokenizer.behind([101, *[7592] * most, 102]) == 0
