"""What is wrong with a source is told by its name and place, whatever its form, and nothing is written."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.backfill.sources import open_source
from models.errors import JobError
from tests.deployments.backfill.conftest import job, run

Table = dict[str, Sequence[object]]
GOOD: Table = {"sku": ["a", "b", "c", "d"], "title": ["one", "two", "three", "four"]}


def parquet(path: Path, table: Table) -> None:
    pq.write_table(pa.table(dict(table)), path)


def jsonl(path: Path, table: Table) -> None:
    rows = zip(*table.values(), strict=True)
    path.write_bytes(b"".join(orjson.dumps(dict(zip(table, row, strict=True))) + b"\n" for row in rows))


def delimited(path: Path, table: Table) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([list(table), *zip(*table.values(), strict=True)])


def lance(path: Path, table: Table) -> None:
    import lance as library

    library.write_dataset(pa.table(dict(table)), str(path))


FORMS: dict[str, Callable[[Path, Table], None]] = {
    "parquet": parquet,
    "jsonl": jsonl,
    "csv": delimited,
    "tsv": delimited,
    "lance": lance,
}
FAULTS: dict[str, tuple[Table, str]] = {
    "an id twice": ({**GOOD, "sku": ["a", "b", "c", "b"]}, r"'b' in row 1 of .*faulty\.{form} and in row 3"),
    "no column of ids": ({"id": GOOD["sku"], "title": GOOD["title"]}, "'sku'"),
    "no column of texts": ({"sku": GOOD["sku"], "name": GOOD["title"]}, "'title'"),
    "texts of another type": ({**GOOD, "title": [1, 2, 3, 4]}, "column 'title' holds int"),
    "ids of another type": ({**GOOD, "sku": [1.5, 2.5, 3.5, 4.5]}, "column 'sku' holds (double|float)"),
}
TYPELESS = ("csv", "tsv")  # everything in them is a text


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("form", FORMS)
def test_a_faulty_source_of_any_form_is_refused_before_anything_is_written(
    form: str, fault: str, tmp_path: Path
) -> None:
    if form in TYPELESS and "type" in fault:
        pytest.skip("its values have no types")
    table, says = FAULTS[fault]
    FORMS[form](tmp_path / f"faulty.{form}", table)
    with pytest.raises(JobError, match=says.replace("{form}", form)) as told:
        run(job(tmp_path / f"faulty.{form}", tmp_path / "sink"))
    assert f"faulty.{form}" in str(told.value)
    assert [path.name for path in (tmp_path / "sink").rglob("*") if path.is_file()] == ["job.lock"]


@pytest.mark.parametrize("form", FORMS)
def test_a_source_that_goes_while_it_is_read_ends_the_job_by_name(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"gone.{form}"
    FORMS[form](path, GOOD)
    source = open_source(job(path, tmp_path / "sink").rows)
    slices = [planned.slice for planned in source.plan(2, pictures=False)]
    for file in [path, *path.rglob("*")]:
        if file.is_file():
            file.unlink()
    with pytest.raises(JobError, match=rf"gone\.{form}.* (cannot be read|changed while it was read)"):
        list(source.read(slices))


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv", "lance"])
def test_what_only_has_the_name_of_a_form_is_refused_by_name(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"torn.{form}"
    if form == "lance":
        path.mkdir()
    else:
        path.write_bytes(b"PAR1\x00\xff\xfe this is none \x00" * 9)
    with pytest.raises(JobError, match=rf"torn\.{form}"):
        run(job(path, tmp_path / "sink"))
    assert [one.name for one in (tmp_path / "sink").rglob("*") if one.is_file()] == ["job.lock"]


def test_an_integer_twice_is_found_beside_a_row_without_an_id(tmp_path: Path) -> None:
    table = pa.table({"sku": pa.array([1, 2, None, 1], pa.int64()), "title": GOOD["title"]})
    pq.write_table(table, tmp_path / "faulty.parquet")
    with pytest.raises(JobError, match=r"ids occur twice in .*: 1 in row 0 of .* and in row 3"):
        run(job(tmp_path / "faulty.parquet", tmp_path / "sink"))


@pytest.mark.parametrize("one", [1 << 63, (1 << 64) - 1])
def test_an_integer_that_no_sink_can_hold_is_refused_by_name(one: int, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"sku": 5, "title": "one"}}\n{{"sku": {one}, "title": "two"}}\n')
    with pytest.raises(
        JobError, match=r"a\.jsonl: column 'sku' holds .*, and strings or integers from -9223372036854775808 to"
    ):
        run(job(tmp_path / "a.jsonl", tmp_path / "sink"))
