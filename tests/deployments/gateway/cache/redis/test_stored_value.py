from __future__ import annotations

import numpy as np
import pytest

from deployments.contract.embedding import Embedding, Label
from deployments.gateway.cache.key import cache_key
from deployments.gateway.cache.redis.stored_value import packed, unpacked

KEY = cache_key("artifact", "a text")
VECTOR = np.random.Generator(np.random.PCG64(1)).normal(size=8).astype(np.float32)
LABEL = Label("m@1", "artifact")
VALUE = packed(KEY, Embedding(VECTOR, 7, LABEL))


def flipped(position: int) -> bytes:
    value = bytearray(VALUE)
    value[position] ^= 1
    return bytes(value)


@pytest.mark.parametrize("synthetic", [False, True], ids=["trained weights", "random weights"])
def test_an_embedding_comes_back_with_the_same_bits(synthetic: bool) -> None:
    label = Label("m@1", "artifact", synthetic)
    embedding = unpacked(KEY, packed(KEY, Embedding(VECTOR, 7, label)), LABEL, 8)
    assert embedding is not None
    assert embedding.vector.dtype == np.float32
    assert embedding.vector.tobytes() == VECTOR.tobytes()
    assert (embedding.tokens, embedding.label) == (7, label)


def test_a_row_of_a_batch_and_a_vector_of_its_own_give_the_same_bytes() -> None:
    column = np.stack([VECTOR, VECTOR], axis=1)[:, 0]
    assert not column.flags.c_contiguous
    assert packed(KEY, Embedding(column, 7, LABEL)) == VALUE


DAMAGED = {
    "nothing": b"",
    "a header without a vector": VALUE[:12],
    "a vector with one number less": VALUE[:-4],
    "a byte too many": VALUE + b"\0",
    "a bit of the check wrong": flipped(0),
    "a bit of the tokens wrong": flipped(4),
    "a bit of the flags wrong": flipped(8),
    "a bit of the vector wrong": flipped(len(VALUE) - 1),
    "zeros": bytes(len(VALUE)),
    "another key's value": packed(cache_key("artifact", "another text"), Embedding(VECTOR, 7, LABEL)),
    "another artifact's value": packed(cache_key("old artifact", "a text"), Embedding(VECTOR, 7, LABEL)),
}


@pytest.mark.parametrize("value", DAMAGED.values(), ids=DAMAGED)
def test_damaged_bytes_are_no_embedding(value: bytes) -> None:
    assert unpacked(KEY, value, LABEL, 8) is None


def test_a_vector_of_other_dimensions_is_no_embedding() -> None:
    assert unpacked(KEY, VALUE, LABEL, 7) is None
    assert unpacked(KEY, VALUE, LABEL, 9) is None


@pytest.mark.parametrize(("cut", "kept"), [(None, None), (0, 0), (1, 1), (200_000, 200_000), (2**40, 2**30 - 1)])
@pytest.mark.parametrize("synthetic", [False, True])
def test_what_the_model_did_not_read_is_kept_beside_the_vector(
    cut: int | None, kept: int | None, synthetic: bool
) -> None:
    label = Label("m@1", "h", synthetic)
    found = unpacked(b"key", packed(b"key", Embedding(np.ones(4, np.float32), 5, label, cut)), label, 4)
    assert found is not None
    assert (found.cut, found.tokens, found.label.synthetic) == (kept, 5, synthetic)
