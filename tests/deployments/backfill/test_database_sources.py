"""Rows out of a database or a Lance dataset: the same as out of files, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lance
import numpy as np
import psycopg
import pyarrow as pa
import pytest

from deployments.backfill.audit import audit
from deployments.backfill.job import Job, Rows
from deployments.backfill.sources import open_source
from models.errors import JobError
from tests.deployments.backfill.conftest import StoppedError, job, rows_in, run, titles, write_rows
from tests.servers.postgres import postgres_server

QUERY = "select sku, title from products where shown like '%yes%'"


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres_server() as uri, psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(
            "create table products (sku text primary key, title text, shown text, number bigint, raw bytea)"
        )
        rows = [(f"p{i}", title, "yes", i, b"x") for i, title in enumerate(titles(50))]
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into products values (%s, %s, %s, %s, %s)", [*rows, ("q", "hidden", "no", 99, b"")]
            )
        yield uri


def of(database: str, sink: Path, query: str = QUERY, **rules: object) -> Job:
    wanted = job("x", sink, **rules)
    return replace(wanted, rows=Rows(database, "sku", "title", query))


def vectors(sink: Path) -> bytes:
    return np.stack(rows_in(sink).column("vector").to_numpy()).tobytes()


def test_a_query_gives_the_vectors_that_a_file_gives(database: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run(of(database, tmp_path / "sql"), 2)
    summary, progress = run(of(database, tmp_path / "sql"))
    run(job(source, tmp_path / "file"))
    assert (summary["embedded"], len(progress.blocks)) == (50, 5)
    assert rows_in(tmp_path / "sql").column("id").to_pylist() == rows_in(tmp_path / "file").column("id").to_pylist()
    assert vectors(tmp_path / "sql") == vectors(tmp_path / "file")
    assert audit(str(tmp_path / "sql"), of(database, tmp_path).rows, 10).clean


def test_a_query_may_end_with_a_comment(database: str, tmp_path: Path) -> None:
    summary, _ = run(of(database, tmp_path / "sql", f"{QUERY}  -- what the shop shows"))
    assert summary["rows"] == 50


def test_a_row_that_changes_in_the_database_is_the_only_one_embedded_again(database: str, tmp_path: Path) -> None:
    run(of(database, tmp_path / "sql"))
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("update products set title = 'something else' where sku = 'p9'")
    with pytest.raises(JobError, match=r"the query changed\..*--only-changed"):
        run(of(database, tmp_path / "sql"))
    summary, _ = run(of(database, tmp_path / "sql", only_changed=True))
    assert (summary["embedded"], summary["kept"]) == (1, 49)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "needs --query"),
        ("select sku, title from nothing", 'relation "nothing" does not exist'),
        ("select sku, shown from products", "no column 'title'; it has: sku, shown"),
        ("select sku, raw as title from products", "column 'title' holds bytea, and texts are needed"),
        ("select null::text as sku, title from products", "whose sku is null; add `where sku is not null`"),
        ("select 'a'::text as sku, title from products", "ids occur twice"),
        ("select 1.5::float8 as sku, title from products", "holds float8, and strings or integers are needed"),
        ("select sku, title from products; drop table products", "syntax error"),
        ("select sku, lo_create(0)::text as title from products", "read-only transaction"),
    ],
)
def test_a_query_that_gives_no_rows_to_embed_is_refused_and_changes_nothing(
    database: str, tmp_path: Path, query: str, says: str
) -> None:
    with pytest.raises(JobError, match=says.replace("(", r"\(")):
        run(of(database, tmp_path / "sql", query))
    assert list((tmp_path / "sql").rglob("*.parquet")) == []


def test_numbers_are_ids_in_their_own_order(database: str) -> None:
    query = "select number as sku, title from products"
    source = open_source(Rows(database, "sku", "title", query))
    planned = list(source.plan(7, pictures=False))
    assert [one for piece in planned for one in piece.ids] == [*range(50), 99]
    (read,) = source.read([planned[3].slice])
    assert (read.ids, source.string_ids) == (list(range(21, 28)), False)


def test_a_lance_dataset_gives_the_vectors_that_a_file_gives_although_it_grows_meanwhile(
    source: Path, tmp_path: Path
) -> None:
    place = str(tmp_path / "rows.lance")
    table = pa.table({"sku": [f"p{i}" for i in range(50)], "title": titles(50)})
    lance.write_dataset(table.slice(0, 30), place)
    lance.write_dataset(table.slice(30), place, mode="append")
    opened = open_source(Rows(place, "sku", "title"))
    slices = [piece.slice for piece in opened.plan(8, pictures=False)]
    lance.write_dataset(table.slice(0, 3), place, mode="append")
    assert [value for read in opened.read(slices) for value in read.values] == titles(50)
    with pytest.raises(JobError, match="ids occur twice"):
        run(job(place, tmp_path / "sink"))
    lance.write_dataset(table, place, mode="overwrite")
    run(job(place, tmp_path / "sink"))
    run(job(write_rows(source, list(titles(50))), tmp_path / "file"))
    assert vectors(tmp_path / "sink") == vectors(tmp_path / "file")
    with pytest.raises(JobError, match="cannot be read"):
        open_source(Rows(str(tmp_path / "none.lance"), "sku", "title")).fingerprint()
