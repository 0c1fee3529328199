from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.catalog.artifact import Artifact
from models.errors import ArtifactError, InputError
from models.inputs.text import TextTokenizer
from models.inputs.token_ids import pad
from models.modalities.text import TextEmbedder

START, END = 101, 102
VOCABULARY = 30522


@pytest.fixture(scope="module")
def tokenizer(text_embedder: TextEmbedder) -> TextTokenizer:
    return text_embedder.tokenizer


def plain(tokenizer: TextTokenizer, text: str) -> list[int]:
    """The text's ids without start and end."""
    return [int(i) for i in tokenizer.encode([text])[0][1:-1]]


@pytest.mark.parametrize(
    ("before", "after"),
    [([], []), ([START], [END]), ([START], []), ([], [END])],
    ids=["without start and end", "with start and end", "with start only", "with end only"],
)
@pytest.mark.parametrize(
    "text", ["hello world", "x", "Ünïcödé 漢字 😀"], ids=["two words", "a letter", "other scripts"]
)
def test_ids_of_a_text_give_the_texts_own_vector(
    text_embedder: TextEmbedder, text: str, before: list[int], after: list[int]
) -> None:
    tokenizer = text_embedder.tokenizer
    ids = tokenizer.wrap([*before, *plain(tokenizer, text), *after])
    assert ids.tolist() == tokenizer.encode([text])[0].tolist()
    assert (text_embedder.embed_rows([ids]) == text_embedder.embed([text])).all()


def test_no_ids_are_the_empty_text(tokenizer: TextTokenizer) -> None:
    assert tokenizer.wrap([]).tolist() == tokenizer.encode([""])[0].tolist() == [START, END]


@pytest.mark.parametrize("bad", [-1, VOCABULARY, 50256, 2**31, 2**63, -(2**70)])
def test_an_id_outside_the_vocabulary_is_an_input_error_that_names_it_and_the_size(
    tokenizer: TextTokenizer, bad: int
) -> None:
    with pytest.raises(InputError, match=rf"token id {bad} .* {VOCABULARY} ids") as caught:
        tokenizer.wrap([7592, bad, 2088])
    assert caught.value.code == "token_out_of_vocabulary"


def test_the_first_and_the_last_id_of_the_vocabulary_embed(text_embedder: TextEmbedder) -> None:
    ids = text_embedder.tokenizer.wrap([0, VOCABULARY - 1])
    assert np.isfinite(text_embedder.embed_rows([ids])).all()


@pytest.mark.parametrize("words", [253, 254, 255, 1000])
def test_a_text_is_cut_at_256_pieces_with_its_end_kept(tokenizer: TextTokenizer, words: int) -> None:
    ids = tokenizer.encode(["dog " * words])[0].tolist()
    assert ids == [START, *[3899] * min(words, 254), END]
    assert tokenizer.wrap([3899] * words).tolist() == ids
    assert tokenizer.wrap([START, *[3899] * words, END]).tolist() == ids


def test_what_lies_behind_the_cut_does_not_change_the_vector(text_embedder: TextEmbedder) -> None:
    head = "word " * 254
    cut, other = text_embedder.embed([head + "tail", head + "something else entirely"])
    kept = text_embedder.embed(["word " * 253 + "tail"])[0]
    assert (cut == other).all()
    assert not np.allclose(cut, kept)


@pytest.mark.parametrize("length", [3, 8, 256], ids=lambda n: f"at most {n} tokens")
def test_the_catalogues_length_holds_whatever_the_tokenizer_file_says(text_artifact: Artifact, length: int) -> None:
    assert text_artifact.tokenizer is not None
    tokenizer = TextTokenizer(text_artifact.tokenizer, length)
    assert len(tokenizer.encode(["dog " * 1000])[0]) == len(tokenizer.wrap([3899] * 1000)) == length
    assert len(tokenizer.encode([""])[0]) == 2  # and nothing is padded


@pytest.mark.parametrize("lower_case", [True, None, False], ids=["lower case", "as the file says", "case kept"])
def test_case_folds_as_the_catalogue_says(text_artifact: Artifact, lower_case: bool | None) -> None:
    assert text_artifact.tokenizer is not None
    tokenizer = TextTokenizer(text_artifact.tokenizer, 256, lower_case=lower_case)
    upper, lower = (ids.tolist() for ids in tokenizer.encode(["HELLO", "hello"]))
    assert (upper == lower) == (lower_case is not False)


@pytest.mark.parametrize("text", ["\ud800", "half an emoji \ud83d"], ids=["a lone surrogate", "half a pair"])
def test_text_that_is_not_unicode_is_an_input_error(tokenizer: TextTokenizer, text: str) -> None:
    with pytest.raises(InputError):
        tokenizer.encode(["fine", text])


@pytest.mark.parametrize("content", [None, "", "{}", "not json"], ids=["missing", "empty", "no tokenizer", "no JSON"])
def test_a_bad_tokenizer_file_is_an_artifact_error_that_names_it(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "model.tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError, match=r"model\.tokenizer\.json"):
        TextTokenizer(path, 256)


def test_padding_is_zeros_on_the_right_with_a_mask_of_ones_and_zeros() -> None:
    ids, mask = pad([np.array([5, 6, 7], np.int32), np.array([8], np.int32)])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64
