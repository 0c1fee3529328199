"""A text that is cut before it is tokenised gives the tokens that it gives uncut, whatever the text and the tokenizer."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from models.catalog.artifact import Artifact
from models.errors import InputError
from models.inputs.text import CHARACTERS_PER_TOKEN, TextTokenizer
from models.inputs.text_cut import CLIP_WORDS, HAN, TextCut

EXAMPLES = int(os.environ.get("EMBEDSERVE_EXAMPLES", "40"))
MOST = 200  # characters of which every one is tried as a place
LENGTH = 6  # tokens, so that texts of 48 characters are cut already
CORPUS = [
    "the quick brown fox, naïve café 漢字 0123456789abcdef",
    "don't stop! a1b2 <|x|> [CLS] foo bar ###",
    "日本語 한국어",
    ("a" + " " * 9) * 40,
]
PIECES = (
    "the", "fox", "naïve", "E\u0301e\u0301", "İẞΣς", "0af9" * 20, "x" * 101, "##a", "don't", "漢", "字" * 7, "か", "한",
    "[CLS]", "[CLS", "]", "[", "foo bar", "foo", "<|x|>", "_", "\u200d", "\x00", "\x01", "\x7f", "\x85", "\ufffd", "\u0301" * 3,
    "\t", "\n", "\r\n", " ", "   ", "\u00a0", "\u2003", "\u2028", "\u3000", "\u1680", "\u200b", ".", "!?", "…", "–", "、", "＃", "$", "€",
    "😀", "👩‍👩‍👧", "\U0001f3f3\ufe0f", "\ue000", "\ufdfa", "ﬁ", "½", "①", "\U00020000", "\u3400", "豈", "\u0600", "\u061c", "≠", "=\u0338",
)  # fmt: skip
TEXTS = st.lists(
    st.one_of(st.sampled_from(PIECES), st.text(max_size=8), st.text("ab1 .", max_size=40)), max_size=60
).map("".join)
BERT = {"normalizer": normalizers.BertNormalizer(), "pre_tokenizer": pre_tokenizers.BertPreTokenizer()}
CLIP = {
    "normalizer": normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    ),
    "pre_tokenizer": pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    ),
}


def without_arguments(module: Any, base: type) -> dict[str, Callable[[], Any]]:
    """The parts of the library's own list that can be made as they are."""
    found = {}
    for name, kind in inspect.getmembers(module, inspect.isclass):
        if issubclass(kind, base) and kind is not base:
            try:
                kind()
            except (TypeError, ValueError):
                continue
            found[name] = kind
    return found


NORMALIZERS = without_arguments(normalizers, normalizers.Normalizer)
PRE_TOKENIZERS = without_arguments(pre_tokenizers, pre_tokenizers.PreTokenizer)


def trained(normalizer: Any, pre_tokenizer: Any, added: tuple[AddedToken, ...] = ()) -> Tokenizer:
    """A small BPE model with start and end tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.add_tokens(list(added))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return tokenizer


def uncut(tokenizer: Tokenizer, text: str, length: int = LENGTH) -> list[int]:
    tokenizer.no_padding()
    tokenizer.enable_truncation(length)
    ids: list[int] = tokenizer.encode_batch_fast([text])[0].ids
    return ids


@pytest.fixture(scope="module")
def of_file(text_artifact: Artifact) -> dict[bool | None, tuple[TextTokenizer, Tokenizer]]:
    """The catalogue's tokenizer with each of its settings of case, and the library's beside it."""
    assert text_artifact.tokenizer is not None
    found = {}
    for lower_case in (True, None, False):
        plain = Tokenizer.from_file(str(text_artifact.tokenizer))
        if lower_case is not None:
            plain.normalizer.lowercase = lower_case
        found[lower_case] = (TextTokenizer(text_artifact.tokenizer, LENGTH, lower_case=lower_case), plain)
    return found


def check_every_place(tokenizer: Tokenizer, cut: TextCut, text: str) -> None:
    """That whatever is before a place where ``text`` may be cut gives tokens with which those of ``text`` begin."""
    parts = list({cut.beginning(text, length) for length in range(1, min(len(text), MOST))})
    whole, *cuts = [encoding.ids for encoding in tokenizer.encode_batch_fast([text, *parts], add_special_tokens=False)]
    for part, ids in zip(parts, cuts, strict=True):
        assert text.startswith(part)
        assert whole[: len(ids)] == ids, part


@settings(max_examples=EXAMPLES * 5, deadline=None)
@given(TEXTS, st.sampled_from([True, None, False]))
def test_the_tokens_of_a_cut_text_are_those_of_the_whole(
    of_file: dict[bool | None, tuple[TextTokenizer, Tokenizer]], text: str, lower_case: bool | None
) -> None:
    ours, plain = of_file[lower_case]
    assert ours.encode([text, "x", text])[0].tolist() == uncut(plain, text)


@settings(max_examples=EXAMPLES * 5, deadline=None)
@given(TEXTS)
def test_what_a_beginning_gives_is_the_beginning_of_what_the_whole_gives(
    of_file: dict[bool | None, tuple[TextTokenizer, Tokenizer]], text: str
) -> None:
    plain = of_file[True][1]
    plain.no_truncation()
    check_every_place(plain, TextCut(plain), text)


ADDED = {
    "no added tokens": (),
    "a token with a space": (AddedToken("foo bar"),),
    "tokens that take the spaces around them": (
        AddedToken("<|x|>", lstrip=True, rstrip=True),
        AddedToken("fox", rstrip=True),
    ),
    "tokens that must stand alone": (AddedToken("fox", single_word=True), AddedToken("漢", single_word=True)),
}
MADE = {
    **{f"{name} and spaces": (kind, pre_tokenizers.Whitespace) for name, kind in NORMALIZERS.items()},
    **{f"no change and {name}": (lambda: None, kind) for name, kind in PRE_TOKENIZERS.items()},
    "CLIP": (lambda: CLIP["normalizer"], lambda: CLIP["pre_tokenizer"]),
    "BERT": (lambda: BERT["normalizer"], lambda: BERT["pre_tokenizer"]),
    "nothing at all": (lambda: None, lambda: None),
}


@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize("name", MADE)
def test_of_every_part_that_the_library_has_the_tokens_stay_as_they_are(name: str, added: str) -> None:
    normalizer, pre_tokenizer = (make() for make in MADE[name])
    tokenizer = trained(normalizer, pre_tokenizer, ADDED[added])
    cut = TextCut(tokenizer)

    @settings(max_examples=max(EXAMPLES // 4, 5), deadline=None)
    @given(TEXTS)
    def check(text: str) -> None:
        check_every_place(tokenizer, cut, text)

    check()


@pytest.mark.parametrize("name", ["BERT", "CLIP", "no change and Whitespace", "no change and ByteLevel"])
def test_the_tokenizers_of_known_models_do_cut(name: str) -> None:
    normalizer, pre_tokenizer = (make() for make in MADE[name])
    assert len(TextCut(trained(normalizer, pre_tokenizer)).beginning("word " * 1000, 20)) < 30


def test_where_words_have_no_spaces_marks_and_chinese_characters_are_places_too(text_artifact: Artifact) -> None:
    cut = TextCut(Tokenizer.from_file(str(text_artifact.tokenizer)))
    assert [len(cut.beginning(text * 1000, 20)) for text in (HAN[0], "ab.", "a–b", "a\u3000")] == [20, 20, 22, 21]
    assert cut.beginning("x" * 1000, 20) == "x" * 1000


def test_text_that_is_no_unicode_behind_the_cut_is_refused_all_the_same(text_artifact: Artifact) -> None:
    assert text_artifact.tokenizer is not None
    with pytest.raises(InputError, match="lone surrogates"):
        TextTokenizer(text_artifact.tokenizer, LENGTH).encode(["word " * 1000 + "\ud800"])


HEX = "".join(f"{(i * 2654435761) % 2**32:08x}" for i in range(30_000))
LONG = {
    "words of hex digits": " ".join(HEX[i : i + 99] for i in range(0, 198_000, 99)),
    "Chinese": "漢字" * 100_000,
    "dots": "." * 200_000,
    "tabs between": "\t".join(HEX[i : i + 9] for i in range(0, 180_000, 9)),
}


@pytest.mark.parametrize("name", LONG)
def test_of_a_long_text_no_more_than_its_beginning_is_tokenised(text_artifact: Artifact, name: str) -> None:
    assert text_artifact.tokenizer is not None
    tokenizer = TextTokenizer(text_artifact.tokenizer, 256)
    part = TextCut(tokenizer._tokenizer).beginning(LONG[name], CHARACTERS_PER_TOKEN * 256)
    assert len(part) < CHARACTERS_PER_TOKEN * 256 + 200
    assert len(tokenizer.encode([part])[0]) == 256
    assert tokenizer.encode([part])[0].tolist() == tokenizer.encode([LONG[name]])[0].tolist()
