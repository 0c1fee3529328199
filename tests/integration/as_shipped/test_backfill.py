"""A catalogue that is embedded offline beside the service as shipped, and on a Ray of its own."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import httpx2
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from bench.backfill import catalogue
from bench.backfill.memory import command_line, descendants
from bench.systems.ours import bench_config, measured, shipped
from deployments.backfill.expectation import golden_items
from deployments.backfill.live_service import look
from deployments.backfill.model import Wanted, artifact_of
from deployments.backfill.run import backfill
from deployments.backfill.via_service.client import ServiceClient
from deployments.backfill.via_service.executor import ServiceExecutor
from deployments.backfill.via_service.lane import Lane
from models.catalog.catalog import Catalog
from models.errors import EmbedserveError, JobError
from tests.deployments.backfill.conftest import MODEL, Followed, job, rows_in, run, titles, write_rows
from tests.integration.service import QUICK, Service

PROGRAM = str(Path(sys.executable).with_name("embedserve"))
ROWS = 400
SAMPLE = 500


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
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, item in enumerate(golden_items("image")):
        (pictures / f"{number}.png").write_bytes(bytes(item))  # type: ignore[arg-type]
    model = "image-embedding@1.0.0"
    summary, _ = run(job(pictures, tmp_path / "sink", column="", model=model, expect_live=service.url))
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


def test_a_job_through_the_service_writes_the_rows_that_one_beside_it_writes(service: Service, tmp_path: Path) -> None:
    texts: list[str | None] = [*titles(150), "", "x" * 200_001]
    source = write_rows(tmp_path / "a.parquet", texts)
    through = job(source, tmp_path / "sink", block_rows=64, via_service=service.url)
    summary = backfill(through, lambda _: nullcontext(ServiceExecutor(service.url)), Followed())
    here, _ = run(job(source, tmp_path / "here"))
    assert {name: summary[name] for name in ("hash", "numerics", "embedded", "bad")} == {
        name: here[name] for name in ("hash", "numerics", "embedded", "bad")
    }
    first, second = rows_in(tmp_path / "sink"), rows_in(tmp_path / "here")
    for column in ("id", "model", "hash", "numerics", "input_digest"):
        assert first[column].to_pylist() == second[column].to_pylist()
    assert np.array_equal(np.stack(first["vector"].to_numpy()), np.stack(second["vector"].to_numpy()))


def test_a_service_that_is_swapped_under_a_job_ends_it(service: Service) -> None:
    spec = Catalog.load().find(MODEL)
    expected = look(service.url, spec).expectation
    client = ServiceClient(service.url, MODEL, expected, 1)
    assert len(client.embed(["one", "two"], Lane())) == 2
    for other in (replace(expected, hash="0" * 64), replace(expected, numerics="cuda/fp16")):
        with pytest.raises(JobError, match=r"now serves .* and the job was begun with"):
            ServiceClient(service.url, MODEL, other, 1).embed(["one"], Lane())


@pytest.mark.slow
def test_what_a_local_start_serves_in_bf16_is_backfilled_under_the_name_that_it_has_there(tmp_path: Path) -> None:
    serving = Service(tmp_path / "log", environment={**QUICK, "EMBEDSERVE_PRECISION": "auto"}).wait()
    try:
        source = write_rows(tmp_path / "a.parquet", list(titles(60)))
        summary, _ = run(job(source, tmp_path / "sink", expect_live=serving.url))
        texts = dict(zip([f"p{i}" for i in range(60)], titles(60), strict=True))
        table = rows_in(tmp_path / "sink")
        body = {"model": MODEL, "input": [texts[i] for i in table["id"].to_pylist()], "encoding_format": "base64"}
        answer = httpx2.post(f"{serving.url}/v1/embeddings", json=body, timeout=60)
        served = b"".join(base64.b64decode(row["embedding"]) for row in answer.json()["data"])
        assert table["vector"].combine_chunks().flatten().to_numpy().tobytes() == served
        assert {(MODEL, answer.headers["x-model-hash"], answer.headers["x-model-numerics"])} == set(
            zip(*(table[name].to_pylist() for name in ("model", "hash", "numerics")), strict=True)
        )
        if summary["hash"] == artifact_of(Wanted(MODEL, "development")).hash:
            pytest.skip("precision: auto serves fp32 on this processor: the artifact of another version was not tried")
    finally:
        serving.stop()


@pytest.mark.slow
@pytest.mark.timeout(840)
def test_500_rows_of_each_precision_have_the_bits_of_the_service(tmp_path: Path) -> None:
    config = tmp_path / "serve_config.yaml"
    config.write_text(yaml.safe_dump(bench_config(shipped(), measured())), encoding="utf-8")
    serving = Service(tmp_path / "log", "--config", str(config), environment=QUICK).wait()
    texts, pictures = write_rows(tmp_path / "a.parquet", list(titles(SAMPLE))), tmp_path / "pictures"
    catalogue.pictures(pictures, SAMPLE)
    checked = set()
    try:
        for spec in measured():
            source, column = (texts, "title") if spec.type == "text" else (pictures, "")
            sink = tmp_path / spec.reference
            rules = {"block_rows": None, "model": spec.reference, "expect_live": serving.url}
            run(job(source, sink, column=column, **rules))
            table = rows_in(sink)
            texts_of = dict(zip([f"p{i}" for i in range(SAMPLE)], titles(SAMPLE), strict=True))
            ids = table["id"].to_pylist()
            items = [texts_of[i] if spec.type == "text" else (pictures / i).read_bytes() for i in ids]
            client = ServiceClient(serving.url, spec.reference, look(serving.url, spec).expectation, 1)
            served = [row for start in range(0, SAMPLE, 20) for row in client.embed(items[start : start + 20], Lane())]
            assert np.array_equal(np.stack(table["vector"].to_numpy()), np.stack(served)), spec.reference
            checked.add((spec.type, spec.precision))
    finally:
        serving.stop()
    print(f"equal bits of {SAMPLE} rows each: {sorted(checked)}")
    assert {("text", "fp32"), ("text", "int8"), ("image", "fp32")} <= checked


def begin(source: Path, sink: Path) -> subprocess.Popen[str]:
    words = ("backfill", MODEL, "--from", str(source), "--id", "sku", "--column", "title", "--to", str(sink))
    command = [PROGRAM, *words, "--block-rows", "20", "--cpus", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def notes(sink: Path) -> dict[str, int]:
    """The blocks that are done, and when each was."""
    return {path.name: path.stat().st_mtime_ns for path in sink.glob("_backfill/run-0001/blocks/*.json")}


def seen(stages: set[str]) -> bool:
    return any("Map(Engine)" in name for name in stages)


SIGNALS = [pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("killed", [None, *SIGNALS], ids=["whole", "killed", "stopped", "terminated"])
def test_a_command_ends_complete_on_ray_data_also_when_an_earlier_one_was_killed(
    tmp_path: Path, killed: signal.Signals | None
) -> None:
    source, sink = write_rows(tmp_path / "a.parquet", list(titles(ROWS))), tmp_path / "sink"
    if killed:
        first = begin(source, sink)
        deadline = time.monotonic() + 120
        while len(notes(sink)) < 3 and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(killed)
        _, said = first.communicate()
        if killed is not signal.SIGKILL:
            assert first.returncode == 128 + killed
            assert (
                said.splitlines()[-1] == "stopped; what is in the sink stays, and the same command goes on from there"
            )
    second = begin(source, sink)
    before = notes(sink)
    stages: set[str] = (
        set()
    )  # as long as it runs: on a busy machine blocks may all end between two looks at their notes
    while second.poll() is None and not (seen(stages) and len(notes(sink)) >= len(before) + 2):
        stages |= {command_line(pid) for pid in descendants(second.pid)}
        time.sleep(0.05)
    assert seen(stages)
    assert not any("prepare" in name and "Engine" in name for name in stages), "an engine waits while it prepares"
    idle = ("dashboard.py", "monitor.py", "_StatsActor", "_AutoscalingCoord", "ActorLocation")
    assert not [name for name in stages if any(one in name for one in idle)], "what nobody asks was started"
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
