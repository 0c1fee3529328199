"""A job whose sink, notes or source are not as its last start left them: no row is lost, and none is there twice."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import JobError
from tests.deployments.backfill.conftest import StoppedError, job, rows_in, run, titles, write_rows
from tests.deployments.backfill.test_sources import picture

IDS = sorted(f"p{i}" for i in range(50))


def written_again(source: Path, **changed: str) -> None:
    """The same rows with other titles, at a later time."""
    texts: list[str | None] = list(titles(50))
    for name, text in changed.items():
        texts[int(name.removeprefix("p"))] = text
    write_rows(source, texts)
    later = time.time_ns() + 10**9 * len(changed)
    os.utime(source, ns=(later, later))


def test_what_a_run_replaced_that_never_ended_is_removed_by_the_next_one(source: Path, tmp_path: Path) -> None:
    sink = tmp_path / "sink"
    run(job(source, sink))
    written_again(source, p4="once")
    with pytest.raises(StoppedError):
        run(job(source, sink, only_changed=True), 1)  # p4 is in its first block
    written_again(source, p4="once", p20="twice")
    summary, _ = run(job(source, sink, only_changed=True))
    assert (summary["run"], summary["embedded"], summary["kept"]) == (3, 1, 49)
    assert rows_in(sink).column("id").to_pylist() == IDS


@pytest.mark.parametrize("only_changed", [False, True], ids=["all", "what changed"])
@pytest.mark.parametrize("notes", ["removed", "elsewhere"])
def test_rows_whose_notes_are_gone_are_neither_lost_nor_there_twice(
    source: Path, tmp_path: Path, notes: str, only_changed: bool
) -> None:
    sink = tmp_path / "sink"
    run(job(source, sink))
    written_again(source, p4="another")
    wanted = job(source, sink, block_rows=20, only_changed=only_changed)
    if notes == "removed":
        shutil.rmtree(sink / "_backfill")
    else:
        wanted = replace(wanted, vectors=replace(wanted.vectors, state=str(tmp_path / "notes")))
    summary, _ = run(wanted)
    assert (summary["run"], summary["embedded"]) == (2, 1 if only_changed else 50)
    assert rows_in(sink).column("id").to_pylist() == IDS
    again, progress = run(wanted)
    assert (again["run"], progress.blocks) == (2, [])


def test_rows_that_somebody_removed_are_embedded_again_by_only_changed(source: Path, tmp_path: Path) -> None:
    sink = tmp_path / "sink"
    run(job(source, sink))
    next(sink.glob("text*/*-00000002.parquet")).unlink()
    with pytest.raises(JobError, match=r"somebody removed some\. --only-changed embeds them again"):
        run(job(source, sink))
    summary, _ = run(job(source, sink, only_changed=True))
    assert (summary["embedded"], summary["kept"]) == (8, 42)
    assert rows_in(sink).column("id").to_pylist() == IDS


def test_a_picture_that_changed_under_the_same_name_is_embedded_again(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(picture(number, "PNG"))
    table = pa.table({"sku": ["a", "b", "c"], "title": ["0.png", "1.png", "2.png"]})
    pq.write_table(table, tmp_path / "rows.parquet")
    wanted = job(tmp_path / "rows.parquet", tmp_path / "sink", model="image-embedding@1.1.0", only_changed=True)
    run(wanted)
    (tmp_path / "1.png").write_bytes(picture(9, "PNG"))
    summary, _ = run(wanted)
    assert (summary["embedded"], summary["kept"]) == (1, 2)
    assert rows_in(tmp_path / "sink").column("id").to_pylist() == ["a", "b", "c"]


def test_integer_ids_are_known_again_beside_a_row_without_one(tmp_path: Path) -> None:
    source, sink = tmp_path / "rows.parquet", tmp_path / "sink"
    for ids in ([1, 2, None, 3], [1, 2, None, 3, 4]):
        pq.write_table(pa.table({"sku": pa.array(ids, pa.int64()), "title": [f"title {i}" for i in ids]}), source)
        summary, _ = run(job(source, sink, only_changed=True))
    assert (summary["embedded"], summary["kept"], summary["bad"]) == (1, 3, 1)


def test_too_many_bad_rows_end_every_start_and_not_only_the_first(tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.parquet", [""] * 3 + list(titles(20)))
    for _ in range(5):  # there are three blocks
        with pytest.raises(JobError, match="3 rows are bad and --max-bad allows 2"):
            run(job(source, tmp_path / "sink", max_bad=2))
    assert run(job(source, tmp_path / "sink"))[0]["embedded"] == 20
    with pytest.raises(JobError, match="3 rows are bad and --max-bad allows 2"):
        run(job(source, tmp_path / "sink", max_bad=2))


@pytest.mark.parametrize("where", ["vectors", "vectors.lance", "_state"])
def test_a_sink_or_notes_that_the_source_would_hold_are_refused(tmp_path: Path, where: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_rows(folder / "a.parquet", list(titles(20)))
    wanted = job(folder, folder / where)
    if where == "_state":  # readers of folders pass over such names
        wanted = replace(wanted, vectors=replace(wanted.vectors, sink=str(tmp_path / "out"), state=str(folder / where)))
    else:
        what = "the sink" if where == "vectors" else "the folder of the notes"
        with pytest.raises(JobError, match=f"{what} of this job lies in {folder}, whose files are read as rows"):
            run(wanted)
        wanted = job(f"{folder}/*.parquet", folder / where)
    assert [run(wanted)[0]["embedded"] for _ in range(2)] == [20, 20]
