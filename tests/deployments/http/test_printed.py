"""The JSON of cached vectors that is kept: the same bytes as printed anew, of the right vector, in bounded memory."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import orjson
import pytest

from deployments.contract.embedding import Embedding, Label
from deployments.gateway.cache.key import cache_key
from deployments.http.printed import Printed
from tests.deployments.http.in_process import Asked
from tests.deployments.http.service import HASH, NUMERICS, application

LABEL = Label("m@1", HASH, numerics=NUMERICS)


def embeddings(count: int, dimensions: int = 384) -> list[Embedding]:
    vectors = np.random.default_rng(0).normal(size=(count, dimensions)).astype(np.float32)
    return [Embedding(vector, 5, LABEL) for vector in vectors / np.linalg.norm(vectors, axis=1, keepdims=True)]


def anew(embedding: Embedding) -> bytes:
    return orjson.dumps(embedding.vector, option=orjson.OPT_SERIALIZE_NUMPY)


def test_the_text_is_what_the_vector_looks_like_printed_anew() -> None:
    ours, printed = embeddings(20), Printed()
    for _ in range(3):
        assert orjson.dumps(printed.texts(ours)) == b"[" + b",".join(anew(one) for one in ours) + b"]"


def test_a_vector_that_is_asked_for_again_is_not_printed_again() -> None:
    printed, (one, other) = Printed(), embeddings(2)
    (first,) = printed.texts([one])
    again, another = printed.texts([one, other])
    assert again is first
    assert another is not first


def test_ten_times_what_fits_takes_no_more_memory_than_is_allowed() -> None:
    size = len(anew(embeddings(1)[0]))
    printed = Printed(limit_bytes=50 * size)
    ours = embeddings(500)
    for at in range(0, 500, 5):
        part = ours[at : at + 5]
        assert orjson.dumps(printed.texts(part)) == b"[" + b",".join(map(anew, part)) + b"]"
        assert printed.used_bytes <= 50 * size
    assert printed.used_bytes > 45 * size
    assert printed.used_bytes == sum(size for _, _, size in printed._entries.values())


def test_a_vector_that_takes_the_place_in_memory_of_one_that_is_gone_is_not_taken_for_it() -> None:
    printed = Printed(limit_bytes=20_000)
    for seed in range(200):  # each is freed, as soon as its text is, for the next to lie where it lay
        one = Embedding(np.full(384, seed, np.float32), 5, LABEL)
        assert orjson.dumps(printed.texts([one])) == b"[" + anew(one) + b"]"
        del one


@pytest.mark.parametrize("texts", [1, 3, 32, 33, 100])
async def test_an_answer_from_the_cache_is_the_same_again_and_again(tmp_path: Path, texts: int) -> None:
    built = application(tmp_path, cache={"bytes": 10_000_000})
    ours = embeddings(texts, 4)
    for number, one in enumerate(ours):
        built.embeddings.cache.put(cache_key(LABEL.identity, f"text {number}"), one)
    for _ in range(2):
        document = {"model": "m", "input": [f"text {number}" for number in range(texts)]}
        answer = await Asked.of_json("/v1/embeddings", document).of(built.app)
        assert answer.headers["x-cache"] == "hit"
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert answer.body.count(b'"embedding":[') == texts
        for entry, one in zip(orjson.loads(answer.body)["data"], ours, strict=True):
            assert np.array_equal(np.array(entry["embedding"], np.float32), one.vector)


async def test_what_a_request_wants_otherwise_it_gets_otherwise(tmp_path: Path) -> None:
    built = application(tmp_path)
    (one,) = embeddings(1, 4)
    built.embeddings.cache.put(cache_key(LABEL.identity, "a text"), one)

    async def asked(**fields: object) -> object:
        answer = await Asked.of_json("/v1/embeddings", {"model": "m", "input": "a text", **fields}).of(built.app)
        assert answer.headers["x-cache"] == "hit"
        return orjson.loads(answer.body)["data"][0]["embedding"]

    whole = await asked()
    short = one.vector[:2] / np.linalg.norm(one.vector[:2].astype(np.float64))
    assert await asked(dimensions=2) == pytest.approx(short)
    assert await asked(output_dtype="int8") == np.rint(one.vector * 127).astype(int).tolist()
    coded = await asked(encoding_format="base64")
    assert isinstance(coded, str)
    assert np.array_equal(np.frombuffer(base64.b64decode(coded), "<f4"), one.vector)
    assert await asked() == whole
