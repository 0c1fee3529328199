from __future__ import annotations

import numpy as np
import pytest

from deployments.gateway.cache.memory import Entry, cache_key
from deployments.gateway.cache.redis.value import packed, unpacked

KEY = cache_key("artifact", "a text")
VECTOR = np.random.Generator(np.random.PCG64(1)).normal(size=8).astype(np.float32)
VALUE = packed(KEY, Entry(VECTOR, 7))


def flipped(position: int) -> bytes:
    value = bytearray(VALUE)
    value[position] ^= 1
    return bytes(value)


@pytest.mark.parametrize("synthetic", [False, True], ids=["trained weights", "random weights"])
def test_an_entry_comes_back_with_the_same_bits(synthetic: bool) -> None:
    entry = unpacked(KEY, packed(KEY, Entry(VECTOR, 7, synthetic)), 8)
    assert entry is not None
    assert entry.vector.dtype == np.float32
    assert entry.vector.tobytes() == VECTOR.tobytes()
    assert (entry.tokens, entry.synthetic) == (7, synthetic)


def test_a_row_of_a_batch_and_a_vector_of_its_own_give_the_same_bytes() -> None:
    column = np.stack([VECTOR, VECTOR], axis=1)[:, 0]
    assert not column.flags.c_contiguous
    assert packed(KEY, Entry(column, 7)) == VALUE


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
    "another key's value": packed(cache_key("artifact", "another text"), Entry(VECTOR, 7)),
    "another artifact's value": packed(cache_key("old artifact", "a text"), Entry(VECTOR, 7)),
}


@pytest.mark.parametrize("value", DAMAGED.values(), ids=DAMAGED)
def test_damaged_bytes_are_no_entry(value: bytes) -> None:
    assert unpacked(KEY, value, 8) is None


def test_a_vector_of_other_dimensions_is_no_entry() -> None:
    assert unpacked(KEY, VALUE, 7) is None
    assert unpacked(KEY, VALUE, 9) is None
