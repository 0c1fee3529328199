"""Every form of sink keeps the same rows, whatever ended the job that wrote them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from deployments.backfill.audit import audit
from deployments.backfill.coverage import coverage, require
from deployments.backfill.executor import Executor
from deployments.backfill.job import Machines, Rows
from deployments.backfill.run import backfill
from deployments.backfill.sinks import open_sink
from models.errors import JobError
from tests.deployments.backfill.conftest import MODEL, Followed, StoppedError, job, rows_in, run, titles, write_rows
from tests.servers.postgres import postgres_server

FORMS = ["lance", "postgres", "qdrant"]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres_server() as uri:
        yield uri


@pytest.fixture(params=FORMS)
def sink(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if request.param == "lance":
        return str(tmp_path / "vectors.lance")
    if request.param == "qdrant":
        return f"qdrant:{tmp_path}/qdrant/products"
    return f"{request.getfixturevalue('database')}&table=t{abs(hash(str(tmp_path))):x}"


def read(sink: str, **what: object) -> pa.Table:
    return pa.concat_tables(open_sink(sink).read(vectors=True, **what)).sort_by("id")  # type: ignore[arg-type]


def bits(table: pa.Table) -> bytes:
    return b"".join(np.asarray(one).tobytes() for one in table.column("vector").combine_chunks().to_numpy(False))


def test_a_sink_keeps_the_bits_and_labels_that_parquet_keeps(source: Path, sink: str, tmp_path: Path) -> None:
    summary, _ = run(job(source, sink))
    run(job(source, tmp_path / "parquet"))
    table, wanted = read(sink), rows_in(tmp_path / "parquet")
    assert summary["embedded"] == 50
    assert bits(table) == bits(wanted)
    for column in ("id", "model", "hash", "numerics", "input_digest"):
        assert table.column(column).to_pylist() == wanted.column(column).to_pylist()
    assert table.schema.field("time").type == wanted.schema.field("time").type


def test_a_job_that_ended_goes_on_in_any_sink_without_a_row_twice(source: Path, sink: str) -> None:
    after = 4
    with pytest.raises(StoppedError):
        run(job(source, sink), after)
    notes = Path(open_sink(sink).state) / "run-0001" / "blocks"
    sorted(notes.iterdir())[-1].unlink()  # as when it ended between the sink and its notes
    summary, progress = run(job(source, sink))
    assert (summary["embedded"], len(progress.blocks)) == (50, 8 - after)
    assert read(sink).column("id").to_pylist() == sorted(f"p{i}" for i in range(50))


def test_rows_of_two_versions_stand_beside_each_other_and_what_changed_is_replaced(source: Path, sink: str) -> None:
    first, _ = run(job(source, sink, only_changed=True))  # as the recipe has it, also where there is no sink yet
    texts: list[str | None] = [*titles(50), "a new one"]
    texts[4] = "another title"
    write_rows(source, texts)
    again, _ = run(job(source, sink, only_changed=True))
    assert (again["embedded"], again["kept"]) == (2, 49)
    assert read(sink).num_rows == 51
    second, _ = run(job(source, sink, model="text-embedding@1.1.0", only_changed=True))
    assert second["embedded"] == 51
    assert read(sink).num_rows == 102
    assert read(sink, hash=first["hash"]).num_rows == open_sink(sink).count(second["hash"]) == 51


def test_coverage_and_audit_look_into_any_sink(source: Path, sink: str) -> None:
    summary, _ = run(job(source, sink))
    assert coverage(sink, summary["hash"]).percent == 100
    assert require(f"{sink}:99.9", MODEL, summary["hash"]).covered == 50
    found = audit(sink, Rows(str(source), "sku", "title"), 10)
    assert (found.clean, found.rows, found.verdicts["exact"]) == (True, 50, 10)


def test_points_that_somebody_else_put_into_a_collection_are_of_an_unknown_space(source: Path, tmp_path: Path) -> None:
    from qdrant_client import QdrantClient, models

    sink = f"qdrant:{tmp_path}/q/shared"
    summary, _ = run(job(source, sink))
    client = QdrantClient(path=str(tmp_path / "q"))
    client.upsert("shared", [models.PointStruct(id=7, vector=[1.0] + [0.0] * 383, payload={"title": "of others"})])
    client.close()
    found = audit(sink, Rows(str(source), "sku", "title"), 5)
    assert dict(found.verdicts) == {"unknown space": 1, "exact": 5}
    assert coverage(sink, summary["hash"]).document()["covered"] == 50


def test_a_full_disk_is_said_by_lance_too_and_the_job_goes_on_when_there_is_room(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files fails writes as a full disk does: in their middle."""
    sink = str(tmp_path / "vectors.lance")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(JobError, match=r"vectors\.lance: .*File too large"):
            run(job(source, sink))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert open_sink(sink).count("") == sum(table.num_rows for table in open_sink(sink).read()) == 0
    assert run(job(source, sink))[0]["embedded"] == read(sink).num_rows == 50


def test_a_table_that_somebody_dropped_is_made_again_by_only_changed(
    source: Path, tmp_path: Path, database: str
) -> None:
    import psycopg

    wanted = job(source, f"{database}&table=dropped")
    wanted = replace(wanted, vectors=replace(wanted.vectors, state=str(tmp_path / "notes")))
    run(wanted)
    with psycopg.connect(database) as connection:
        connection.execute("drop table dropped")
    with pytest.raises(JobError, match=r"has 0 rows of this artifact and the notes .* say that 50 were written"):
        run(wanted)
    summary, _ = run(replace(wanted, rules=replace(wanted.rules, only_changed=True)))
    assert (summary["embedded"], read(wanted.vectors.sink).num_rows) == (50, 50)


def test_rows_that_somebody_removed_are_not_taken_for_done(source: Path, tmp_path: Path) -> None:
    sink = str(tmp_path / "vectors.lance")
    run(job(source, sink))
    import lance

    lance.dataset(sink).delete("id = 'p7'")
    with pytest.raises(JobError, match=r"has 49 rows of this artifact and the notes .* say that 50 were written"):
        run(job(source, sink))


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        pytest.param("lance", "float16 int8 binary", marks=pytest.mark.slow),
        ("postgres", "float16 binary"),
        pytest.param("qdrant", "float16", marks=pytest.mark.slow),
    ],
)
def test_vectors_stored_smaller_are_those_that_parquet_stores(
    source: Path, tmp_path: Path, request: pytest.FixtureRequest, form: str, kinds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for kind in kinds.split():
        places = {"lance": f"{tmp_path}/{kind}.lance", "qdrant": f"qdrant:{tmp_path}/q/{kind}"}
        sink = places.get(form) or f"{request.getfixturevalue('database')}&table=small_{kind}"
        for place in (sink, str(tmp_path / kind)):
            wanted = job(source, place)
            run(replace(wanted, vectors=replace(wanted.vectors, stored_as=kind)))
        assert bits(read(sink)) == bits(rows_in(tmp_path / kind)), kind


def started(machines: Machines) -> AbstractContextManager[Executor]:
    raise AssertionError(f"{machines} were started for nothing")


def test_what_a_sink_cannot_store_is_refused_by_name_before_an_engine_starts(
    source: Path, tmp_path: Path, database: str
) -> None:
    for sink in (f"{database}&table=no_int8", f"qdrant:{tmp_path}/q/no_int8"):
        wanted = job(source, sink)
        vectors = replace(wanted.vectors, stored_as="int8", state=str(tmp_path / sink[-6:]))
        with pytest.raises(JobError, match="--store-as may be float32"):
            backfill(replace(wanted, vectors=vectors), started, Followed())
    with pytest.raises(JobError, match=r"names no table: add \?table=NAME"):
        open_sink(database)


def test_a_password_in_a_uri_stands_in_no_message_note_or_name(source: Path, tmp_path: Path, database: str) -> None:
    nowhere = "postgresql://postgres:hunter2@/postgres?host=/nowhere&password=hunter2&table=t"
    assert "hunter2" not in open_sink(nowhere).state
    with pytest.raises(JobError, match=r"PostgreSQL at .*/nowhere.*No such file or directory") as refused:
        run(job(source, nowhere))
    assert "hunter2" not in str(refused.value)
    wanted = job(source, database.replace("postgres@", "postgres:hunter2@") + "&table=quiet")
    summary, _ = run(replace(wanted, vectors=replace(wanted.vectors, state=str(tmp_path / "notes"))))
    assert "hunter2" not in str(summary)
    assert all(b"hunter2" not in path.read_bytes() for path in (tmp_path / "notes").rglob("*.json"))


def test_nearest_neighbours_asked_of_each_sink_agree(source: Path, tmp_path: Path, database: str) -> None:
    import lance
    import psycopg
    from qdrant_client import QdrantClient

    state = {"state": str(tmp_path / "notes")}
    sinks = {"lance": f"{tmp_path}/n.lance", "qdrant": f"qdrant:{tmp_path}/nq/c", "postgres": f"{database}&table=near"}
    for name, place in {**sinks, "parquet": str(tmp_path / "parquet")}.items():
        wanted = job(source, place)
        run(replace(wanted, vectors=replace(wanted.vectors, state=f"{state['state']}-{name}")))
    table = rows_in(tmp_path / "parquet")
    vectors, ids = np.stack(table.column("vector").to_numpy()), table.column("id").to_pylist()
    client = QdrantClient(path=f"{tmp_path}/nq")
    with psycopg.connect(database) as connection:
        for query in vectors[::10]:
            wanted = [ids[i] for i in np.argsort(-(vectors @ query), kind="stable")[:5]]
            asked = {"column": "vector", "q": query, "k": 5, "metric": "dot"}
            found = {
                "lance": lance.dataset(sinks["lance"]).to_table(columns=["id"], nearest=asked).column("id").to_pylist(),
                "qdrant": [
                    point.payload["id"] for point in client.query_points("c", query=query.tolist(), limit=5).points
                ],
                "postgres": [
                    row[0]
                    for row in connection.execute(
                        "select id from near order by vector <=> %s::vector limit 5", [str(query.tolist())]
                    )
                ],
            }
            assert found == dict.fromkeys(found, wanted)
    client.close()
