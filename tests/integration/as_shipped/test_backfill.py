"""A catalogue that is embedded offline beside the service as shipped, and on a Ray of its own."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pyarrow.parquet as pq
import pytest

from deployments.backfill.expectation import golden_items
from models.errors import EmbedserveError
from tests.deployments.backfill.conftest import MODEL, job, rows_in, run, titles, write_rows
from tests.integration.service import Service

PROGRAM = str(Path(sys.executable).with_name("embedserve"))
ROWS = 400


def test_offline_vectors_have_the_bits_of_the_service(service: Service, client: httpx2.Client, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.parquet", list(titles(60)))
    run(job(source, tmp_path / "sink", expect_live=service.url))
    table = rows_in(tmp_path / "sink")
    texts = dict(zip([f"p{i}" for i in range(60)], titles(60), strict=True))
    body = {"model": MODEL, "input": [texts[i] for i in table["id"].to_pylist()], "encoding_format": "base64"}
    answer = client.post("/v1/embeddings", json=body)
    served = b"".join(base64.b64decode(row["embedding"]) for row in answer.json()["data"])
    assert table["vector"].combine_chunks().flatten().to_numpy().tobytes() == served
    assert {answer.headers["x-model-hash"]} == set(table["hash"].to_pylist())


def test_offline_pictures_have_the_bits_of_the_service(service: Service, tmp_path: Path) -> None:
    for number, item in enumerate(golden_items("image")):
        (tmp_path / f"{number}.png").write_bytes(bytes(item))  # type: ignore[arg-type]
    model = "image-embedding@1.0.0"
    summary, _ = run(job(tmp_path, tmp_path / "sink", column="", model=model, expect_live=service.url))
    assert (summary["embedded"], summary["bad"]) == (6, 0)


def test_what_the_service_does_not_serve_is_refused_before_the_first_row(service: Service, tmp_path: Path) -> None:
    source = write_rows(tmp_path / "a.parquet", list(titles(5)))
    wanted = job(source, tmp_path / "sink", model="text-embedding@1.1.0", expect_live=service.url)
    with pytest.raises(EmbedserveError, match=r"does not serve text-embedding@1\.1\.0; it serves: "):
        run(wanted)
    nowhere = replace(wanted, rules=replace(wanted.rules, expect_live="http://127.0.0.1:9"))
    with pytest.raises(EmbedserveError, match="no service answers"):
        run(nowhere)
    assert list((tmp_path / "sink").rglob("*.parquet")) == []


def begin(source: Path, sink: Path) -> subprocess.Popen[str]:
    words = ("backfill", MODEL, "--from", str(source), "--id", "sku", "--column", "title", "--to", str(sink))
    command = [PROGRAM, *words, "--block-rows", "20"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def notes(sink: Path) -> dict[str, int]:
    """The blocks that are done, and when each was."""
    return {path.name: path.stat().st_mtime_ns for path in sink.glob("_backfill/run-0001/blocks/*.json")}


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["whole", "killed"])
def test_a_command_ends_complete_on_ray_data_also_when_an_earlier_one_was_killed(tmp_path: Path, killed: bool) -> None:
    source, sink = write_rows(tmp_path / "a.parquet", list(titles(ROWS))), tmp_path / "sink"
    if killed:
        first = begin(source, sink)
        deadline = time.monotonic() + 120
        while len(notes(sink)) < 3 and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.communicate()
    second = begin(source, sink)
    before = notes(sink)
    out, said = second.communicate(timeout=250)
    assert second.returncode == 0, said
    summary = json.loads(out)
    assert (3 if killed else 0) <= len(before) < ROWS // 20
    assert (summary["embedded"], summary["bad"], summary["blocks"]) == (ROWS, 0, ROWS // 20)
    assert summary["this_start"]["blocks"] <= ROWS // 20 - len(before)
    assert before.items() <= notes(sink).items(), "a block that was done was computed again"
    table = rows_in(sink)
    assert sorted(table["id"].to_pylist()) == sorted(f"p{i}" for i in range(ROWS))
    assert f"{ROWS} rows" in said
    run(job(source, tmp_path / "here", block_rows=64))
    here = pq.read_table(tmp_path / "here").sort_by("id")
    assert np.array_equal(np.stack(table["vector"].to_numpy()), np.stack(here["vector"].to_numpy()))
