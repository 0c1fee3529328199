"""A batch is cut into runs of fixed shapes: every row once, in equal buckets, and with the vectors of any other way."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.buckets import CUT_IMAGES, RUN_CELLS, cut_image_buckets, cut_text_buckets
from models.engine.cut_engine import CutEngine
from models.engine.runs import RunLimits, runs_of
from models.inputs.token_ids import pad
from tests.models.loading import artifact_of, embedder_of

BUCKETS = cut_text_buckets(256)


@given(count=st.integers(1, 3000), length=st.sampled_from(BUCKETS.lengths or ()), threads=st.integers(1, 64))
def test_parts_are_runs_of_buckets_and_leave_no_thread_without_work(count: int, length: int, threads: int) -> None:
    parts = BUCKETS.parts(count, length, threads)
    assert sum(parts) == count
    assert max(parts) <= -(-count // threads)
    for rows in parts:
        assert BUCKETS.parts(rows, length) == [rows], "it is one run"
        assert BUCKETS.rows_for(rows) * length <= (BUCKETS.cells or 0) or rows == 1
    assert sum(cut_image_buckets().parts(count, 0, threads)) == count


@given(count=st.integers(1, 200), length=st.sampled_from(BUCKETS.lengths or ()))
def test_no_way_to_cut_a_batch_into_full_buckets_is_cheaper(count: int, length: int) -> None:
    def cost(rows: list[int]) -> float:
        return sum(BUCKETS.rows_for(size) * length + RUN_CELLS for size in rows)

    full, left = [], count
    for size in reversed(BUCKETS.rows):
        if size <= BUCKETS.most_rows(length):
            full += [size] * (left // size)
            left %= size
    assert cost(BUCKETS.parts(count, length)) <= cost(full) + 1e-6


def test_pictures_are_never_padded() -> None:
    assert all(rows in CUT_IMAGES for count in range(1, 50) for rows in cut_image_buckets().parts(count, 0))


@pytest.mark.parametrize(("count", "runs"), [(3, [3]), (5, [4, 1]), (6, [6]), (7, [6, 1]), (11, [8, 3])])
def test_pictures_are_cut_into_few_runs(count: int, runs: list[int]) -> None:
    assert cut_image_buckets().parts(count, 0) == runs


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=100), threads=st.integers(1, 8))
def test_only_equal_buckets_run_together(lengths: list[int], threads: int) -> None:
    padded = [BUCKETS.length_for(length) for length in lengths]
    runs = runs_of(padded, RunLimits(threads=threads, buckets=BUCKETS))
    assert sorted(index for run in runs for index in run) == list(range(len(lengths)))
    for run in runs:
        assert len({padded[index] for index in run}) == 1
        assert BUCKETS.parts(len(run), padded[run[0]]) == [len(run)]


def test_every_shape_that_a_batch_can_have_is_warmed_up() -> None:
    shapes = set(BUCKETS.shapes())
    for length in BUCKETS.lengths or ():
        assert {(rows, length) for rows in BUCKETS.parts(1000, length)} <= shapes
        assert all((rows, length) in shapes for rows in BUCKETS.rows if rows * length <= (BUCKETS.cells or 0))


def test_a_batch_cut_into_runs_has_the_vectors_of_one_run() -> None:
    artifact = artifact_of("text-embedding@1.0.0")
    plain = embedder_of("text-embedding@1.0.0")
    ids, mask = pad([np.arange(1000, 1000 + n, dtype=np.int32) for n in (20, 7, 20, 3, 20)])
    session = ort.InferenceSession(str(artifact.graph), providers=["CPUExecutionProvider"])
    cut = CutEngine(session, "embedding", cut_text_buckets(32), 2)
    feeds = {"input_ids": ids, "attention_mask": mask}
    assert cut.warm_up({name: value[:1, :1] for name, value in feeds.items()}) == len(list(cut.buckets.shapes()))
    np.testing.assert_array_equal(cut.run(feeds), plain.engine.run(feeds, lambda tokens: tokens))
