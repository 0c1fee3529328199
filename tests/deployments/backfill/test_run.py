"""A job in this process, from its source to its sink; ``tests/integration`` runs the same on Ray Data."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import Embedder, open_embedder
from models.errors import JobError
from tests.deployments.backfill.conftest import MODEL, StoppedError, job, rows_in, run, titles, write_rows


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_embedder(pull(Catalog.load().find(MODEL), allow_synthetic=False))


def vectors_of(table: pa.Table) -> np.ndarray:
    return np.stack(table.column("vector").to_numpy())


def test_a_row_has_the_bits_that_its_text_has_alone(source: Path, tmp_path: Path, embedder: Embedder) -> None:
    summary, progress = run(job(source, tmp_path / "sink"))
    table = rows_in(tmp_path / "sink")
    assert table.column("id").to_pylist() == sorted(f"p{i}" for i in range(50))
    texts = dict(zip([f"p{i}" for i in range(50)], titles(50), strict=True))
    alone = np.concatenate([embedder.embed_items([texts[one]]) for one in table.column("id").to_pylist()])
    assert vectors_of(table).tobytes() == alone.tobytes()
    assert set(table.column("model").to_pylist()) == {MODEL}
    assert set(table.column("hash").to_pylist()) == {embedder.artifact.hash} == {summary["hash"]}
    assert set(table.column("numerics").to_pylist()) == {embedder.engine.numerics("fp32")} == {summary["numerics"]}
    assert (summary["rows"], summary["embedded"], summary["bad"], progress.total) == (50, 50, 0, 50)


@pytest.mark.parametrize("after", [1, 3, 6])
def test_a_job_that_ended_goes_on_after_its_last_block(source: Path, tmp_path: Path, after: int) -> None:
    with pytest.raises(StoppedError):
        run(job(source, tmp_path / "sink"), after)
    before = {path: path.read_bytes() for path in (tmp_path / "sink").rglob("run-*.parquet")}
    assert len(before) == after
    summary, progress = run(job(source, tmp_path / "sink"))
    assert len(progress.blocks) == 7 - after
    assert progress.done == 8 * after
    assert all(path.read_bytes() == data for path, data in before.items())
    assert sorted(rows_in(tmp_path / "sink").column("id").to_pylist()) == sorted(f"p{i}" for i in range(50))
    assert summary["embedded"] == 50


def test_a_block_that_reached_the_sink_and_not_the_notes_is_written_over_itself(source: Path, tmp_path: Path) -> None:
    run(job(source, tmp_path / "sink"))
    run_folder = tmp_path / "sink" / "_backfill" / "run-0001"
    (run_folder / "complete.json").unlink()
    (run_folder / "blocks" / "00000002.json").unlink()
    _, progress = run(job(source, tmp_path / "sink"))
    assert [block.number for block in progress.blocks] == [2]
    assert rows_in(tmp_path / "sink").num_rows == 50


def test_a_job_that_is_complete_does_nothing(source: Path, tmp_path: Path) -> None:
    first, _ = run(job(source, tmp_path / "sink"))
    again, progress = run(job(source, tmp_path / "sink"))
    assert progress.blocks == []
    assert {**again, "this_start": None} == {**first, "this_start": None}


def test_bad_rows_stand_in_a_file_with_their_reason_and_the_others_are_embedded(tmp_path: Path) -> None:
    texts: list[str | None] = list(titles(20))
    texts[3], texts[7], texts[11] = "", None, "x" * 200_001
    summary, _ = run(job(write_rows(tmp_path / "a.parquet", texts), tmp_path / "sink"))
    bad = [orjson.loads(line) for line in Path(summary["bad_file"]).read_bytes().splitlines()]
    assert [(one["id"], one["row"], one["code"]) for one in bad] == [
        ("p3", 3, "empty_input"),
        ("p7", 7, "empty_input"),
        ("p11", 11, "too_large"),
    ]
    assert "200000" in bad[2]["reason"]
    assert (summary["embedded"], summary["bad"]) == (17, 3)
    assert rows_in(tmp_path / "sink").num_rows == 17


def test_more_bad_rows_than_allowed_end_the_job_and_say_where_they_stand(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.parquet", [""] * 3 + list(titles(20)))
    with pytest.raises(JobError, match=r"3 rows are bad and --max-bad allows 2; .*bad\.jsonl"):
        run(job(source, tmp_path / "sink", max_bad=2))
    summary, _ = run(job(source, tmp_path / "sink", max_bad=3))
    assert summary["embedded"] == 20


def test_another_source_under_the_same_sink_is_refused_by_name(source: Path, tmp_path: Path) -> None:
    run(job(source, tmp_path / "sink"))
    later = time.time_ns() + 10**9
    os.utime(source, ns=(later, later))
    with pytest.raises(JobError, match=r"products\.parquet changed.*--only-changed"):
        run(job(source, tmp_path / "sink"))


def test_only_what_changed_is_embedded_and_takes_the_place_of_what_it_was(source: Path, tmp_path: Path) -> None:
    run(job(source, tmp_path / "sink"))
    texts: list[str | None] = [*titles(50), "a new one"]
    texts[4] = "another title"
    write_rows(source, texts)
    summary, _ = run(job(source, tmp_path / "sink", only_changed=True))
    assert (summary["run"], summary["rows"], summary["embedded"], summary["kept"]) == (2, 51, 2, 49)
    table = rows_in(tmp_path / "sink")
    assert sorted(table.column("id").to_pylist()) == sorted(f"p{i}" for i in range(51))
    fresh, _ = run(job(source, tmp_path / "fresh"))
    assert fresh["embedded"] == 51
    assert vectors_of(table).tobytes() == vectors_of(rows_in(tmp_path / "fresh")).tobytes()


def test_another_version_is_refused_by_name_and_stands_beside_the_first_when_asked(
    source: Path, tmp_path: Path
) -> None:
    run(job(source, tmp_path / "sink"))
    other = job(source, tmp_path / "sink", model="text-embedding@1.1.0")
    with pytest.raises(JobError, match=r"the model was 'text-embedding@1.0.0' and is 'text-embedding@1.1.0'"):
        run(other)
    summary, _ = run(replace(other, rules=replace(other.rules, only_changed=True)))
    assert summary["embedded"] == 50
    table = rows_in(tmp_path / "sink")
    keys = set(zip(table.column("id").to_pylist(), table.column("hash").to_pylist(), strict=True))
    assert (table.num_rows, len(keys)) == (100, 100)


def ids(*names: object) -> pa.Table:
    return pa.table({"sku": list(names), "title": [f"title {i}" for i in range(len(names))]})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (ids("a", "b", "a"), r"'a' in row 0 of .*bad\.parquet and in row 2"),
        (ids("a").rename_columns(["id", "title"]), r"no column 'sku'; it has: id, title"),
        (ids("a").rename_columns(["sku", "name"]), r"no column 'title'; it has: sku, name"),
        (ids(1.5), r"column 'sku' holds double, and strings or integers are needed"),
        (pa.table({"sku": ["a"], "title": [5]}), r"column 'title' holds int64, and texts are needed"),
    ],
    ids=["an id twice", "no column of ids", "no column of texts", "ids of another type", "texts of another type"],
)
def test_a_source_that_cannot_be_embedded_is_refused_before_anything_is_written(
    table: pa.Table, says: str, tmp_path: Path
) -> None:
    pq.write_table(table, tmp_path / "bad.parquet")
    with pytest.raises(JobError, match=says):
        run(job(tmp_path / "bad.parquet", tmp_path / "sink"))
    assert [path.name for path in (tmp_path / "sink").rglob("*") if path.is_file()] == ["job.lock"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 this is none")
    with pytest.raises(JobError, match=r"torn\.parquet cannot be read"):
        run(job(tmp_path / "torn.parquet", tmp_path / "sink"))


def test_a_file_that_is_damaged_where_the_texts_are_ends_the_job_by_name(
    tmp_path: Path,
) -> None:
    good = write_rows(tmp_path / "damaged.parquet", list(titles(50)))
    metadata = pq.ParquetFile(good).metadata
    column = metadata.row_group(metadata.num_row_groups - 1).column(1)
    data = bytearray(good.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    good.write_bytes(data)
    with pytest.raises(JobError, match=r"damaged\.parquet cannot be read"):
        run(job(good, tmp_path / "sink"))
    assert list((tmp_path / "sink").rglob("*.partial")) == []


def test_two_jobs_cannot_write_to_one_sink(source: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "sink" / "_backfill").mkdir(parents=True)
    with FileLock(tmp_path / "sink" / "_backfill" / "job.lock"), pytest.raises(JobError, match="another backfill"):
        run(job(source, tmp_path / "sink"))


def test_a_disk_that_takes_no_more_is_said_and_holds_no_half_of_a_file(source: Path, tmp_path: Path) -> None:
    """A limit on the size of files fails writes as a full disk does: in their middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(JobError, match=r"run-0001-00000000\.parquet cannot be written: File too large"):
            run(job(source, tmp_path / "sink"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    names = sorted(path.name for path in (tmp_path / "sink").rglob("*") if path.is_file())
    assert names == ["job.lock", "manifest.json"]
    assert run(job(source, tmp_path / "sink"))[0]["embedded"] == 50


@pytest.mark.parametrize("kind", ["float16", "int8", "binary"])
def test_vectors_can_be_stored_smaller(source: Path, tmp_path: Path, kind: str) -> None:
    wanted = job(source, tmp_path / "sink")
    run(wanted)
    small = replace(wanted, vectors=replace(wanted.vectors, sink=str(tmp_path / kind), stored_as=kind))
    run(small)
    full = vectors_of(rows_in(tmp_path / "sink"))
    column = rows_in(tmp_path / kind).column("vector")
    if kind == "binary":
        found = np.unpackbits(np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(50, 48), axis=1)
        assert (found == (full > 0)).all()
    else:
        found = np.stack(column.to_numpy()).astype(np.float32) / (127 if kind == "int8" else 1)
        assert np.abs(found - full).max() < (0.5 / 127 + 1e-6 if kind == "int8" else 1e-3)
