"""Token ids get the vectors of the texts that they stand for, or are refused; LangChain sends OpenAI's without being told to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
import tiktoken
from langchain_openai import OpenAIEmbeddings

from deployments.config.gateway import GatewayConfig
from deployments.contract.embedding import Embedding, Label
from deployments.contract.model_info import ModelInfo
from deployments.gateway.cache.key import cache_key
from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.token_ids import PACKAGE, _load
from tests.deployments.http.service import HASH, NUMERICS, TEXT, Application, application, serving
from tests.faults.hostile.json_bodies import TEXTS

QUERIES = [
    "hello world",
    "Wie koche ich Spätzle?",
    "機械学習とは何ですか",
    "naïve café 🌍👩‍👩‍👧",
    "  two  spaces\n\tand a tab ",
    "SELECT * FROM t WHERE a = 'b';",
    "<|endoftext|> as plain text",
]
VOCABULARY = 30522


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Application:
    """A gateway that holds the vector of each query, and one of the ids (1, 2) of the model's own vocabulary."""
    built = application(
        tmp_path_factory.mktemp("tokens"), aliases={"own": "m", "theirs": "m"}, token_vocabulary={"own": "model"}
    )
    label = Label("m@1", HASH, numerics=NUMERICS)
    version = built.embeddings.registry.versions["m@1"]
    version.info = ModelInfo(label, "m", "text", 4, "fp32", "CPU", vocabulary=VOCABULARY)
    for number, item in enumerate([*QUERIES, (1, 2)], 1):
        vector = np.array([number, 1, 0, 0], np.float32)
        built.embeddings.cache.put(
            cache_key(label.identity, item), Embedding(vector / np.linalg.norm(vector), 5, label)
        )
    return built


@pytest.fixture(scope="module")
def client(running: Application) -> Iterator[httpx2.Client]:
    with serving(running.app) as found:
        yield found


def ask(client: httpx2.Client, value: Any, model: str = "m", **headers: str) -> httpx2.Response:
    sent = {"x-request-timeout-seconds": "5", **headers}
    return client.post("/v1/embeddings", json={"model": model, "input": value}, headers=sent)


def vectors(answer: httpx2.Response) -> list[list[float]]:
    assert answer.status_code == 200, answer.text
    return [row["embedding"] for row in answer.json()["data"]]


def test_langchain_with_its_defaults_gets_the_vectors_of_the_texts(
    client: httpx2.Client, cl100k: tiktoken.Encoding
) -> None:
    langchain = OpenAIEmbeddings(model="m", base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0)
    right = np.array(vectors(ask(client, QUERIES)), np.float32)
    np.testing.assert_array_equal(np.array(langchain.embed_documents(QUERIES), np.float32), right)
    np.testing.assert_array_equal(np.array([langchain.embed_query(query) for query in QUERIES], np.float32), right)


def test_ids_of_one_text_and_of_many_have_the_same_meaning(client: httpx2.Client, cl100k: tiktoken.Encoding) -> None:
    one, many = cl100k.encode_ordinary(QUERIES[0]), [cl100k.encode_ordinary(query) for query in QUERIES]
    right = vectors(ask(client, QUERIES))
    assert vectors(ask(client, one)) == right[:1]
    assert vectors(ask(client, many)) == right


def test_the_header_the_alias_and_the_model_say_whose_ids_they_are(client: httpx2.Client) -> None:
    own, theirs = vectors(ask(client, [1, 2], "own")), vectors(ask(client, [15339, 1917], "theirs"))
    assert own != theirs == vectors(ask(client, "hello world"))
    assert vectors(ask(client, [1, 2], **{"x-token-vocabulary": "model"})) == own
    assert vectors(ask(client, [15339, 1917], "own", **{"x-token-vocabulary": "cl100k_base"})) == theirs


def test_the_model_says_it_for_its_pinned_versions_and_its_aliases_too() -> None:
    registry = ModelRegistry()
    models = {"m": {"type": "text", "versions": {"1": 1}}, "image-embedding": {"type": "image", "versions": {"1": 1}}}
    said = {"m": "model", "theirs": "cl100k_base"}
    document = {"models": models, "aliases": {"own": "m", "theirs": "m"}, "token_vocabulary": said}
    registry.configure(GatewayConfig.model_validate(document))
    found = [registry.token_vocabulary(name) for name in ("m", "m@1", "own", "theirs", "image-embedding", "nothing")]
    assert found == ["model", "model", "model", "cl100k_base", None, None]


@pytest.mark.parametrize("headers", [{}, {"x-token-vocabulary": "cl100k_base"}], ids=["unsaid", "said"])
def test_without_the_decoder_ids_are_refused_and_told_what_helps(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)  # as where it is not installed
    answer = ask(client, [[15339, 1917]], **headers)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "unknown_token_vocabulary"
    assert "check_embedding_ctx_length=False" in error["message"]
    assert ("embedserve[cl100k]" if headers else "x-token-vocabulary: model") in error["message"]
    assert vectors(ask(client, [1, 2], "own"))


@pytest.mark.parametrize("outside", [100256, 100261, 100277, 2**31 - 1])
def test_an_id_outside_openais_vocabulary_is_refused_by_its_place(client: httpx2.Client, outside: int) -> None:
    answer = ask(client, [[15339], [15339, outside]])
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "input[1]"
    assert error["code"] == "token_out_of_vocabulary"
    assert str(outside) in error["message"]


def test_a_vocabulary_that_does_not_exist_is_refused(client: httpx2.Client) -> None:
    answer = ask(client, "hello world", **{"x-token-vocabulary": "o200k_base"})
    assert answer.status_code == 400
    assert "'model' or 'cl100k_base'" in answer.json()["error"]["message"]


def test_a_name_that_is_no_model_has_no_vocabulary() -> None:
    with pytest.raises(ValueError, match="'nothing', which is no model and no alias"):
        GatewayConfig.model_validate({"models": {}, "token_vocabulary": {"nothing": "model"}})


def test_what_ids_stand_for_is_bounded_like_texts(client: httpx2.Client, cl100k: tiktoken.Encoding) -> None:
    (spaces,) = cl100k.encode_ordinary(" " * 80)
    longest = 200_000 // 80
    assert ask(client, [[spaces] * (longest + 1)]).status_code == 413
    assert ask(client, [[spaces] * 10 * longest]).status_code == 413
    answer = ask(client, [[spaces] * longest] * 400)  # 32 MB of text out of 7 MB of ids
    assert answer.status_code == 413, answer.text
    assert "stands for more than" in answer.json()["error"]["message"]
    assert ask(client, [[15339] * 65_537]).json()["error"]["message"] == "input has 65537 token ids, the limit is 65536"


def test_ids_for_pictures_are_refused_as_before(client: httpx2.Client) -> None:
    answer = ask(client, [1, 2], "image-embedding")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "wrong_modality"


def test_every_id_stands_for_what_openais_own_tokenizer_says(cl100k: tiktoken.Encoding) -> None:
    decode = _load()
    ids = [*range(100_256), *range(100_257, 100_261), 100_276]
    assert [decode([each]) for each in ids] == [cl100k.decode([each]) for each in ids]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_comes_back_from_its_ids(cl100k: tiktoken.Encoding, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        pytest.skip("tiktoken itself changes what is no valid Unicode")
    short = text[:20_000]
    assert _load()(cl100k.encode_ordinary(short)) == short


def test_a_text_is_taken_from_the_cache_whoever_sent_it(client: httpx2.Client, cl100k: tiktoken.Encoding) -> None:
    assert ask(client, [cl100k.encode_ordinary(TEXT)]).headers["x-cache"] == "hit"
