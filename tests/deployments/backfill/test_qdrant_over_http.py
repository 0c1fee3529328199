"""A collection of a Qdrant that is reached by its URL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from deployments.backfill.audit import audit
from deployments.backfill.block import embedded
from deployments.backfill.coverage import coverage
from deployments.backfill.job import Rows
from deployments.backfill.sinks import open_sink
from deployments.backfill.sinks.base import Stamp, sink_rows
from deployments.backfill.sinks.qdrant import KEY_VARIABLE
from models.errors import JobError
from tests.deployments.backfill.conftest import StoppedError, job, rows_in, run
from tests.servers.qdrant_server import KEY, MOST_BYTES, QdrantServer, qdrant_server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[QdrantServer]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with qdrant_server() as server:
        yield server


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_a_job_into_a_server_goes_on_where_it_ended_and_keeps_the_bits(
    source: Path, server: QdrantServer, tmp_path: Path, kind: str
) -> None:
    place = server.uri("products")
    wanted = job(source, place)
    wanted = replace(wanted, vectors=replace(wanted.vectors, stored_as=kind))
    with pytest.raises(StoppedError):
        run(wanted, 3)
    summary, progress = run(wanted)
    assert (summary["embedded"], progress.done) == (50, 24)
    run(replace(wanted, vectors=replace(wanted.vectors, sink=str(tmp_path / "here"))))
    found = pa.concat_tables(open_sink(place).read(vectors=True)).sort_by("id")
    here = rows_in(tmp_path / "here")
    for column in ("id", "vector", "model", "hash", "numerics", "input_digest"):
        assert found.column(column).to_pylist() == here.column(column).to_pylist()
    assert coverage(place, summary["hash"]).percent == 100
    assert audit(place, Rows(str(source), "sku", "title"), 10).verdicts["exact"] == 10


def test_a_server_that_wants_another_key_is_told_and_the_key_stands_in_no_message(
    source: Path, server: QdrantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "hunter2")
    with pytest.raises(JobError, match=r"Qdrant at qdrant\+http://127.*: .*401") as told:
        run(job(source, server.uri("products")))
    assert "hunter2" not in str(told.value)


def test_points_of_long_vectors_fit_into_the_requests_that_a_server_takes(server: QdrantServer) -> None:
    dimensions, rows = 8192, 220
    vectors = np.random.default_rng(0).standard_normal((rows, dimensions)).astype(np.float32)
    stamp = Stamp(1, "long@1.0.0", "0" * 64, "cpu", dimensions, "float32", string_ids=False)
    sink = open_sink(server.uri("long"))
    sink.begin(stamp)
    table = embedded(list(range(rows)), ["0"] * rows, vectors, strings=False)
    sink.write(stamp, 0, sink_rows(stamp, table))
    assert sink.count("0" * 64) == rows
    assert max(server.sizes) < MOST_BYTES / 2
