"""Sources and sinks in an object store that is not Amazon's, and how its URIs are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import lance
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.backfill.coverage import coverage
from deployments.backfill.object_store import CHECKSUMS, PLAIN_HTTP, lance_options
from deployments.backfill.sinks import open_sink
from deployments.backfill.sources import open_source
from deployments.backfill.storage import Storage, is_glob, located
from deployments.backfill.uris import below, parted
from models.errors import JobError
from tests.deployments.backfill.conftest import StoppedError, job, rows_in, run
from tests.servers.s3_server import BUCKET, S3Server, s3_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3") / "objects") as server:
        yield server


@pytest.fixture(params=["variables", "URI"])
def options(request: pytest.FixtureRequest, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """What stands behind a URI so that it means the server, which the variables may name instead."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    for name in (CHECKSUMS, PLAIN_HTTP):  # so that it is as it was afterwards
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    if request.param == "variables":
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.direct)
        return ""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    return f"?endpoint_override={server.direct}"


def test_a_job_from_a_store_into_a_store_goes_on_where_it_ended_and_writes_the_same_rows(
    source: Path, server: S3Server, options: str, tmp_path: Path
) -> None:
    server.put("in/products.parquet", source.read_bytes())
    place = f"s3://{BUCKET}/out{len(options)}{options}"
    wanted = job(f"s3://{BUCKET}/in/*.parquet{options}", place)
    with pytest.raises(StoppedError):
        run(wanted, 3)
    summary, progress = run(wanted)
    assert (summary["embedded"], len(progress.blocks), progress.done) == (50, 4, 24)
    run(job(source, tmp_path / "here"))
    found = pa.concat_tables(open_sink(place).read(vectors=True)).sort_by("id")
    assert found.select(["id", "vector"]).equals(rows_in(tmp_path / "here").select(["id", "vector"]))
    assert coverage(place, summary["hash"]).percent == 100
    filesystem, path = located(place)
    assert pq.read_table(path, filesystem=filesystem).num_rows == 50  # as any reader has them


def test_a_lance_dataset_in_such_a_store_is_a_sink_and_a_source(
    source: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (server.environment | {"AWS_ENDPOINT_URL": server.direct}).items():
        monkeypatch.setenv(name, value)
    for name in (CHECKSUMS, PLAIN_HTTP):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    place, catalogue = f"s3://{BUCKET}/vectors.lance", f"s3://{BUCKET}/products.lance"
    lance.write_dataset(pq.read_table(source), catalogue, storage_options=lance_options(catalogue))
    wanted = job(catalogue, place)
    with pytest.raises(StoppedError):
        run(wanted, 3)
    summary, progress = run(wanted)
    assert (summary["embedded"], progress.done) == (50, 24)
    run(job(source, tmp_path / "here"))
    found = pa.concat_tables(open_sink(place).read(vectors=True)).sort_by("id")
    assert found.select(["id", "vector"]).equals(rows_in(tmp_path / "here").select(["id", "vector"]))
    assert coverage(place, summary["hash"]).percent == 100


def test_lance_keeps_its_own_client_for_amazons_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    assert lance_options(f"s3://{BUCKET}/vectors.lance") == {}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://store:9000")
    assert lance_options("gs://other/vectors.lance") == lance_options("/here/vectors.lance") == {}
    assert lance_options(f"s3://{BUCKET}/vectors.lance")["aws_endpoint"] == "http://store:9000"


def test_a_store_that_refuses_is_told_and_nothing_is_written(
    source: Path, server: S3Server, options: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(JobError, match=rf"s3://{BUCKET}/refused.* cannot be read: "):
        run(job(source, f"s3://{BUCKET}/refused{options}"))
    assert not (server.folder / BUCKET / "refused").exists()


@pytest.mark.parametrize(
    ("uri", "place", "options"),
    [
        ("s3://b/x?endpoint_override=http://h:9000", "s3://b/x", "?endpoint_override=http://h:9000"),
        ("s3://b/*.parquet?scheme=http&region=eu", "s3://b/*.parquet", "?scheme=http&region=eu"),
        ("s3://b/a?.parquet", "s3://b/a?.parquet", ""),
        ("s3://b/a?.parquet?region=eu", "s3://b/a?.parquet", "?region=eu"),
        ("file:///tmp/a?b=c", "file:///tmp/a?b=c", ""),
        ("vectors/a?b=c", "vectors/a?b=c", ""),
    ],
)
def test_options_stand_behind_the_last_question_mark_and_every_other_is_a_wildcard(
    uri: str, place: str, options: str
) -> None:
    assert parted(uri) == (place, options)
    assert below(uri, "name") == f"{place}/name{options}"
    assert Storage(uri).below("a").below("b").uri == f"{place}/a/b{options}"
    assert is_glob(uri) == any(mark in place for mark in "*?[")


@pytest.mark.parametrize(
    ("uri", "says"), [("s3://b/x?colour=red", "colour"), ("s3://b/x.lance?region=eu", r"Lance reads no options")]
)
def test_options_that_nobody_reads_are_refused_by_name(uri: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=says):
        list(open_sink(uri).read())
    with pytest.raises(JobError, match=says):
        open_source(job(uri, tmp_path).rows).fingerprint()
