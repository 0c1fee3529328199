"""How much of a catalogue stands at which artifact, and whether its vectors are what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from deployments.backfill.audit import artifacts, audit, noted_source
from deployments.backfill.coverage import coverage, hash_of, require
from deployments.backfill.job import Rows
from deployments.backfill.sources.base import Read, Slice
from deployments.backfill.sources.parquet import ParquetSource
from deployments.cli.main import app
from models.errors import JobError
from tests.deployments.backfill.conftest import MODEL, StoppedError, job, run, titles, write_rows
from tests.deployments.backfill.test_sources import picture

NEXT = "text-embedding@1.1.0"


def test_a_catalogue_is_covered_as_far_as_its_rows_stand_at_the_artifact(source: Path, tmp_path: Path) -> None:
    sink = str(tmp_path / "sink")
    run(job(source, sink))
    now, later = hash_of(MODEL, None), hash_of(NEXT, None)
    assert coverage(sink, now).percent == 100
    assert (coverage(sink, later).covered, coverage(sink, later).total) == (0, 50)
    with pytest.raises(StoppedError):
        run(job(source, sink, model=NEXT, only_changed=True), 2)
    found = coverage(sink, later)
    assert (found.covered, found.total, len(found.standings)) == (16, 50, 2)
    with pytest.raises(JobError, match=r"16 of 50 rows \(32\.00 %\) .* 99\.9 % are required"):
        require(f"{sink}:99.9", NEXT, later)
    run(job(source, sink, model=NEXT, only_changed=True))
    assert require(f"{sink}:99.9", NEXT, later).percent == 100


def test_without_the_notes_of_a_backfill_no_share_is_enough(source: Path, tmp_path: Path) -> None:
    sink, state = str(tmp_path / "sink"), str(tmp_path / "notes")
    wanted = job(source, sink)
    with pytest.raises(StoppedError):
        run(replace(wanted, vectors=replace(wanted.vectors, state=state)), 2)
    now = hash_of(MODEL, None)
    assert coverage(sink, now).percent == 100  # of the ids that are there
    with pytest.raises(
        JobError, match=r"nothing says how many rows .*sink should have.* --coverage-state names the folder"
    ):
        require(f"{sink}:1", MODEL, now)
    with pytest.raises(JobError, match=r"16 of 50 rows"):
        require(f"{sink}:99.9", MODEL, now, state)


def test_an_audit_finds_its_rows_by_the_notes_of_the_backfill(source: Path, tmp_path: Path) -> None:
    sink, state = str(tmp_path / "sink"), str(tmp_path / "notes")
    wanted = job(source, sink)
    run(replace(wanted, vectors=replace(wanted.vectors, state=state)))
    said = CliRunner().invoke(app, ["audit", sink, "--sample", "9", "--state", state])
    assert json.loads(said.stdout)["verdicts"]["exact"] == 9
    nothing = CliRunner().invoke(app, ["audit", sink])
    assert "name them with --state, or the source with --from, --id and --column" in str(nothing.exception)


def test_notes_name_a_database_and_what_is_asked_of_it_but_no_user(source: Path, tmp_path: Path) -> None:
    run(job(source, tmp_path / "sink"))
    place = tmp_path / "sink" / "_backfill" / "run-0001" / "manifest.json"
    document = json.loads(place.read_text())
    for noted, wanted in (
        ("postgresql://db/shop select sku, title from p", ("postgresql://db/shop", "select sku, title from p")),
        ("postgresql://***@db/shop select 1", None),
        ("a folder/with spaces.parquet", ("a folder/with spaces.parquet", "")),
    ):
        place.write_text(json.dumps({**document, "source": noted}))
        if wanted is None:
            with pytest.raises(JobError, match=r"without its user: say --from, --id and --column"):
                noted_source(str(tmp_path / "sink"))
        else:
            rows = noted_source(str(tmp_path / "sink"))
            assert (rows.source, rows.query, rows.id, rows.column) == (*wanted, "sku", "title")


def test_a_catalogue_that_grew_since_is_covered_in_part(source: Path, tmp_path: Path) -> None:
    run(job(source, tmp_path / "sink"))
    write_rows(source, list(titles(50)), first=10)
    found = coverage(str(tmp_path / "sink"), hash_of(MODEL, None), Rows(str(source), "sku", "title"))
    assert (found.covered, found.total, found.percent) == (40, 50, 80)


def test_rows_that_cannot_be_embedded_are_not_covered(tmp_path: Path) -> None:
    run(job(write_rows(tmp_path / "a.parquet", ["", *titles(9)]), tmp_path / "sink"))
    assert coverage(str(tmp_path / "sink"), hash_of(MODEL, None)).percent == 90


@pytest.mark.parametrize("words", ["sink", "sink:", ":99", "sink:101", "sink:x"])
def test_words_that_name_no_share_of_a_sink_are_refused(words: str) -> None:
    with pytest.raises(JobError, match="takes SINK:PERCENT"):
        require(words, MODEL, "0" * 64)


def test_an_audit_tells_corrupt_rows_foreign_ones_and_changed_inputs_from_good_ones(
    source: Path, tmp_path: Path
) -> None:
    rows = Rows(str(source), "sku", "title")
    run(job(source, tmp_path / "sink", block_rows=50))
    (path,) = (tmp_path / "sink").glob("text*/*.parquet")
    found = audit(str(tmp_path / "sink"), rows, 20)
    assert (found.clean, found.rows, found.sampled, found.verdicts["exact"]) == (True, 50, 20, 20)
    run(job(source, tmp_path / "other", model=NEXT, block_rows=50))
    (other,) = (tmp_path / "other").glob("text*/*.parquet")
    table, foreign = pq.read_table(path), pq.read_table(other)
    vectors = np.stack(table.column("vector").to_numpy())
    vectors[0, 3] = np.nan
    vectors[1] = -vectors[1]
    vectors[2] = foreign.column("vector")[2].as_py()
    vectors[3, 0] = np.nextafter(vectors[3, 0], 2, dtype=np.float32)
    hashes = table.column("hash").to_pylist()
    hashes[4] = "0" * 64
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 384)
    table = table.set_column(1, "vector", flat).set_column(3, "hash", pa.array(hashes))
    pq.write_table(table, path)
    texts = list(titles(50))
    texts[5] = "changed"
    write_rows(source, texts[:49])
    found = audit(str(tmp_path / "sink"), rows, 50)
    verdicts = {(one["id"], one["verdict"]) for one in found.findings}
    assert verdicts == {
        ("p0", "corrupt"),
        ("p1", "corrupt"),
        ("p2", "made by another artifact"),
        ("p3", "other bits of the same space"),
        ("p4", "unknown space"),
        ("p5", "input changed since"),
        ("p49", "gone from the source"),
    }
    assert found.made_by == {MODEL: 43, NEXT: 1}


def test_rows_without_a_vector_or_without_a_hash_are_told_from_good_ones(source: Path, tmp_path: Path) -> None:
    sink = str(tmp_path / "sink")
    run(job(source, sink, block_rows=50))
    (path,) = (tmp_path / "sink").glob("text*/*.parquet")
    table = pq.read_table(path)
    vectors, hashes = table.column("vector").to_pylist(), table.column("hash").to_pylist()
    vectors[3], hashes[5] = None, None
    table = table.set_column(1, "vector", pa.array(vectors, table.schema.field("vector").type))
    pq.write_table(table.set_column(3, "hash", pa.array(hashes)), path)
    found = audit(sink, Rows(str(source), "sku", "title"), 48)
    assert dict(found.verdicts) == {"exact": 48, "corrupt": 1, "unknown space": 1}
    assert {(one["id"], one["verdict"]) for one in found.findings} == {("p3", "corrupt"), ("p5", "unknown space")}
    counted = coverage(sink, hash_of(MODEL, None)).document()
    assert (counted["covered"], [one["rows"] for one in counted["standings"]]) == (49, [49, 1])


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Slice]:
    """The slices of files that are read."""
    found: list[Slice] = []
    reading = ParquetSource.read

    def noted(source: ParquetSource, slices: Sequence[Slice]) -> Iterator[Read]:
        found.extend(slices)
        return reading(source, slices)

    monkeypatch.setattr(ParquetSource, "read", noted)
    return found


def test_an_audit_reads_the_source_once_for_each_artifact_however_many_rows_are_wrong(
    source: Path, tmp_path: Path, read: list[Slice]
) -> None:
    run(job(source, tmp_path / "sink", block_rows=50))
    (path,) = (tmp_path / "sink").glob("text*/*.parquet")
    table = pq.read_table(path)
    vectors = pa.array(
        [[-one for one in row] for row in table.column("vector").to_pylist()], table.schema.field(1).type
    )
    pq.write_table(table.set_column(1, "vector", vectors), path)
    read.clear()
    found = audit(str(tmp_path / "sink"), Rows(str(source), "sku", "title"), 50)
    assert found.verdicts["corrupt"] == 50
    assert len(read) <= sum(artifact.spec.type == "text" for artifact in artifacts())


@pytest.mark.slow
def test_an_audit_prepares_no_more_pictures_than_it_takes(tmp_path: Path, read: list[Slice]) -> None:
    pictures = [picture(number, "PNG") for number in range(24)]
    pq.write_table(pa.table({"sku": list(range(24)), "title": pictures}), tmp_path / "rows.parquet")
    run(job(tmp_path / "rows.parquet", tmp_path / "sink", model="image-embedding@1.1.0", block_rows=24))
    read.clear()
    found = audit(str(tmp_path / "sink"), Rows(str(tmp_path / "rows.parquet"), "sku", "title"), 2)
    assert found.verdicts["exact"] == 2
    assert sum(piece.rows for piece in read) <= 2 * 8
