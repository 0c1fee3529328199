"""The measurement of a card runs without one, beside an engine that waits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.gpu.copies import copies
from bench.gpu.null import PER_S
from bench.gpu.opening import Opening
from bench.gpu.probe import batches, rate
from bench.gpu.replicas import together
from models.catalog.paths import ROOT
from models.engine.pinned import RUNTIMES
from tests.gpu import stub_driver

TEXT = "text-embedding@1.0.0"
EVENTS = {f"cudaEvent{name}" for name in ("Create", "Record", "Synchronize", "ElapsedTime", "Destroy")}
EVENTS |= {"cudaHostRegister", "cudaHostUnregister", "cudaGetLastError"}
JOB = {
    "job": "rate", "reference": TEXT, "other": TEXT, "wish": "cpu", "null": True, "largest": 8192, "size": 256, "tokens": 16,
    "seconds": 0.3, "graphs": False,
}  # fmt: skip


def test_an_engine_that_waits_is_as_fast_as_a_card_is_to_be_and_no_faster() -> None:
    embedder = Opening("cpu", null=True).open(TEXT, 8192)
    run = batches(embedder, 16)(500)  # a bucket of 512
    assert np.linalg.norm(run(), axis=1) == pytest.approx(np.ones(500))
    assert 0 < rate(run, 500, 0.3) <= PER_S["text"]


def test_copies_are_timed_by_the_clock_where_no_card_is() -> None:
    found = copies(Opening("cpu", null=True).open(TEXT, 8192), 16, 256, 0.1)
    assert found.timed_by == "the clock"
    assert found.megabytes == pytest.approx(256 * 16 * 8 / 1e6)
    assert min(found.pageable, found.pinned) > 0
    assert 0 <= found.hidden <= 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc makes the library")
def test_copies_are_timed_by_cudas_events_where_its_runtime_is(tmp_path: Path) -> None:
    """By a library with CUDA's signatures, in a process of its own: whether they are called as C declares them."""
    stub_driver.library(tmp_path, RUNTIMES[0], EVENTS)
    program = f"""
import ctypes
from bench.gpu.copies import copies
from bench.gpu.opening import Opening
runtime = ctypes.CDLL({str(tmp_path / RUNTIMES[0])!r})
found = copies(Opening("cpu", null=True).open({TEXT!r}, 8192), 16, 256, 0.1)
print(found.timed_by, found.pageable > 0, found.pinned > 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split("\n")[-2] == "CUDA events True True", done.stderr[-1000:]


@pytest.mark.slow
def test_replicas_share_one_card() -> None:
    found = together([JOB] * 2)
    assert 0 < sum(one["rate"] for one in found) <= PER_S["text"] * 1.05


@pytest.mark.slow
def test_a_replica_that_fails_says_why_and_the_others_go_on() -> None:
    broken, whole = together([{**JOB, "reference": "text-embedding@9.9.9"}, JOB])
    assert "9.9.9" in broken["failed"]
    assert whole["rate"] > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_measurement_of_texts_goes_its_whole_way_without_a_card() -> None:
    command = [sys.executable, "-m", "bench.gpu", "--null", "--no-http", "--model", "text"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "no number below is a card's" in done.stderr
    written = Path(done.stderr.split("written: ")[1].splitlines()[0])
    (model,) = json.loads(written.read_text())["models"]
    written.unlink()
    assert max(one["rate"] for one in model["throughputs"]) <= PER_S["text"] * 1.05
    assert len(model["copies"]) == 4
    assert {one["count"] for one in model["replicas"]} == {1, 2}
    assert isinstance(model["captured"], dict), model["captured"]
