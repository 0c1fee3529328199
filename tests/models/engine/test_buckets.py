from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.buckets import LENGTHS, cut, image_buckets, pad, text_buckets


@pytest.mark.parametrize("count", [*range(17, 515, 3), 97, 129, 193, 257, 385])
def test_of_a_run_of_more_than_sixteen_less_than_a_quarter_is_padding(count: int) -> None:
    assert 1 - count / text_buckets().rows_for(count) < 1 / 4
    assert 1 - min(count, 512) / image_buckets().rows_for(min(count, 512)) < 1 / 4


@pytest.mark.parametrize("length", range(1, 513))
def test_of_a_text_less_than_a_quarter_or_seven_tokens_are_padding(length: int) -> None:
    padded = text_buckets(512).length_for(length)
    assert padded - length < max(8, padded / 4)


def test_the_buckets_that_larger_batches_miss_most_are_there() -> None:
    assert {96, 192, 384} <= set(image_buckets().rows) & set(LENGTHS)


@given(count=st.integers(1, 512), largest=st.integers(1, 512))
def test_the_largest_batch_has_a_bucket(count: int, largest: int) -> None:
    assert image_buckets(largest).rows[-1] >= largest
    if count > image_buckets(largest).rows[-1]:
        with pytest.raises(ValueError, match="exceed the largest bucket"):
            image_buckets(largest).rows_for(count)


@given(length=st.integers(1, 256), longest=st.integers(1, 512), cells=st.integers(1, 70_000))
def test_texts_have_a_bucket_within_the_models_positions(length: int, longest: int, cells: int) -> None:
    buckets = text_buckets(longest, cells)
    length = min(length, longest)
    assert length <= buckets.length_for(length) <= longest
    most = buckets.most_rows(length)
    assert most == 1 or most * buckets.length_for(length) <= cells


def test_no_text_is_lost_beyond_the_largest_length() -> None:
    assert text_buckets().length_for(LENGTHS[-1] + 5) == LENGTHS[-1] + 5


def test_every_shape_that_a_batch_can_take_is_listed() -> None:
    buckets = text_buckets(77, 4096)
    listed = set(buckets.shapes())
    for length in range(1, 78):
        for count in range(1, buckets.most_rows(length) + 1):
            assert (buckets.rows_for(count), buckets.length_for(length)) in listed
    assert all(rows == 1 or rows * (length or 0) <= 4096 for rows, length in listed)


def test_padding_keeps_what_was_there_and_adds_valid_rows() -> None:
    array = np.arange(6, dtype=np.int64).reshape(2, 3) + 1
    padded = pad(array, 4, 5)
    assert padded.shape == (4, 5)
    np.testing.assert_array_equal(padded[:2, :3], array)
    assert not padded[:, 3:].any()
    np.testing.assert_array_equal(padded[2:], padded[[0, 0]])
    assert pad(array, 2, 3) is array


def test_a_result_that_was_cut_survives_its_buffer() -> None:
    buffer = np.ones((4, 2), np.float32)
    kept = cut(buffer, 3)
    buffer[:] = 0
    assert kept.shape == (3, 2)
    assert kept.all()
