"""A job whose sink, notes or source are not as its last start left them: no row is lost, and none is there twice."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.backfill.audit import audit, noted_source
from deployments.backfill.committing import Outcome
from deployments.backfill.executor import Decision, HereExecutor
from deployments.backfill.run import backfill
from deployments.backfill.sinks import open_sink
from models.errors import JobError
from tests.deployments.backfill.conftest import Followed, StoppedError, job, rows_in, run, titles, write_rows
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


class ElsewhereExecutor(HereExecutor):
    """Runs in another folder, as Ray's workers on a cluster do."""

    def run(self, decision: Decision) -> Iterator[Outcome]:
        os.chdir("/")
        yield from super().run(decision)


@pytest.mark.parametrize("sink", ["vectors", "vectors.lance", "qdrant:q/products"])
def test_names_from_this_folder_mean_the_same_for_workers_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sink: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.parquet", list(titles(20)))
    backfill(job("rows.parquet", sink), lambda one: nullcontext(ElsewhereExecutor(one)), Followed())
    monkeypatch.chdir(tmp_path)
    assert sum(table.num_rows for table in open_sink(sink).read()) == 20


def test_a_job_goes_on_and_is_audited_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "rows.parquet", list(titles(20)))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoppedError):
        run(job("rows.parquet", "vectors"), 1)
    monkeypatch.chdir("/")
    summary, progress = run(job(tmp_path / "rows.parquet", tmp_path / "vectors"))
    assert (summary["embedded"], progress.done) == (20, 8)
    sink = str(tmp_path / "vectors")
    assert audit(sink, noted_source(sink), 5).verdicts["exact"] == 5


def test_a_folder_of_pictures_is_read_by_workers_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(picture(1, "PNG"))
    monkeypatch.chdir(tmp_path)
    wanted = job("photos/", "vectors", model="image-embedding@1.1.0")
    summary = backfill(wanted, lambda one: nullcontext(ElsewhereExecutor(one)), Followed())
    assert (summary["embedded"], summary["bad"]) == (1, 0)


class OtherDiskExecutor(HereExecutor):
    """Has a disk of its own, as a node may: what it wrote is not there for others."""

    def run(self, decision: Decision) -> Iterator[Outcome]:
        place = Path(decision.commit.sink.uri)
        for outcome in super().run(decision):
            place.rename(place.with_name("its disk"))
            yield outcome


def test_a_sink_that_nodes_do_not_share_ends_the_job_at_its_first_block(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.backfill.ledger.SHOWN_S", 0.2)
    with pytest.raises(JobError, match=r"a node wrote a block whose note is not in .* Name a sink .* all nodes share"):
        backfill(job(source, tmp_path / "sink"), lambda one: nullcontext(OtherDiskExecutor(one)), Followed())
