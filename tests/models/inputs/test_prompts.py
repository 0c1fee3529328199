"""Named prompts stand before a text as if the caller had written them there."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.catalog.known_prompts import prompts_of
from models.errors import ConfigError, InputError
from models.inputs.prompted import Prompted
from models.inputs.text import TextTokenizer
from models.modalities.text import TextEmbedder
from models.modalities.text_config import TextConfig
from models.modalities.tokenise import Tokenise

PROMPTS = {"query": "query: ", "document": "", "usual": "usually: "}
LENGTH = 12


@pytest.fixture(scope="module")
def path(text_embedder: TextEmbedder) -> Path:
    found = text_embedder.artifact.tokenizer
    assert found is not None
    return found


@pytest.fixture(scope="module")
def plain(path: Path) -> TextTokenizer:
    return TextTokenizer(path, LENGTH)


@pytest.fixture(scope="module")
def tokenizer(path: Path) -> TextTokenizer:
    return TextTokenizer(path, LENGTH, prompt=PROMPTS["usual"], prompts=PROMPTS)


@pytest.mark.parametrize(
    "text", ["hello world", "", "a text that is much longer than twelve tokens, which is where it ends"]
)
@pytest.mark.parametrize("name", sorted(PROMPTS))
def test_a_named_prompt_takes_the_place_of_the_usual_one(
    tokenizer: TextTokenizer, plain: TextTokenizer, name: str, text: str
) -> None:
    written = plain.encode([PROMPTS[name] + text])[0].tolist()
    assert tokenizer.with_prompt(Prompted(name, text)).tolist() == written
    ids = tuple(plain.encode([text])[0].tolist())
    assert tokenizer.with_prompt(Prompted(name, ids)).tolist()[:LENGTH] == written
    assert tokenizer.encode([text])[0].tolist() == plain.encode([PROMPTS["usual"] + text])[0].tolist()


def test_items_with_and_without_prompts_are_prepared_together_and_a_bad_one_fails_alone(
    tokenizer: TextTokenizer, plain: TextTokenizer
) -> None:
    items = ["a", Prompted("query", "b"), (7592,), Prompted("nothing", "c"), Prompted("query", "\ud800"), "d"]
    rows = Tokenise(tokenizer)(items)
    texts = ["usually: a", "query: b", "usually: hello", None, None, "usually: d"]
    for row, text in zip(rows, texts, strict=True):
        if text is None:
            assert isinstance(row, InputError)
        else:
            assert not isinstance(row, InputError)
            assert row.tolist() == plain.encode([text])[0].tolist()
    assert "no prompt 'nothing'; there are: query, document, usual" in str(rows[3])


def test_what_is_cut_is_counted_without_the_prompt(tokenizer: TextTokenizer) -> None:
    assert tokenizer.behind(Prompted("query", "hello")) == 0
    assert tokenizer.behind(Prompted("query", "hello " * 12)) == 12 * len("hello ") - len("hello " * 8) + 1
    assert tokenizer.behind(Prompted("document", tuple([7592] * 12))) == 2
    assert tokenizer.behind(Prompted("query", tuple([7592] * 12))) == 4


def test_where_prompts_are_not_pooled_only_the_one_that_is_built_in_may_be_named() -> None:
    config = {"max_sequence_length": 9, "prompts": PROMPTS, "include_prompt": False}
    assert TextConfig.model_validate(config).selectable == {}
    assert TextConfig.model_validate({**config, "default_prompt": "usual"}).selectable == {"usual": "usually: "}


def test_prompts_are_said_by_name_or_by_family() -> None:
    assert prompts_of([]) is None
    assert prompts_of(["query=find: a=b", "document="]) == {"query": "find: a=b", "document": ""}
    assert prompts_of(["e5"]) == {"query": "query: ", "document": "passage: "}
    assert prompts_of(["bge-en", "document=x"])["document"] == "x"  # type: ignore[index]
    for wrong in ("e6", "=text", ""):
        with pytest.raises(ConfigError, match="must be NAME=TEXT, or 'e5', 'bge-en' or 'bge-zh'"):
            prompts_of([wrong])
