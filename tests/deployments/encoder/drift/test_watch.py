"""Drift beside the traffic: what it takes, what it costs, and what outlives a replica."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from deployments.config.encoder import EncoderConfig
from deployments.contract.embedding import Label
from deployments.encoder.drift import watch as watching
from deployments.encoder.drift.reference_file import load, path_of
from deployments.encoder.drift.reporter import DriftReporter
from deployments.encoder.drift.watch import EVERY_S, LEAST, REFERENCE, WINDOW, DriftWatch
from deployments.encoder.loaded import Loaded
from deployments.observability.drift_gauges import DriftGauges
from models.errors import InputError

HASH = "a" * 64


class Embedder:
    """Knows lengths alone."""

    def traits(self, item: str, row: np.ndarray) -> dict[str, float]:
        return {"tokens": float(len(row))}


EMBEDDER = Embedder()


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path))
    return tmp_path


def traffic(watch: DriftWatch, count: int, length: int = 10, now: float = 0.0, every_s: float = 1.0) -> float:
    """Calls of one text each; the time after the last one."""
    rng = np.random.default_rng(int(now))
    for _ in range(count):
        now += every_s
        if watch.due(now):
            row = np.arange(rng.integers(length - 3, length + 4))
            watch.take(now, EMBEDDER, ["a text"], {0: row}, rng.normal(size=(1, 8)).astype("f4"))  # type: ignore[arg-type]
    return now


def test_a_changed_length_is_found_after_the_reference_was_frozen() -> None:
    watch = DriftWatch(HASH, 60.0)
    now = traffic(watch, REFERENCE - 1)
    watch.evaluate()
    assert (watch.counts, watch.found) == ({"reference": REFERENCE - 1, "current": WINDOW}, {})
    now = traffic(watch, 1, now=now)
    watch.evaluate()
    assert watch.counts == {"reference": REFERENCE, "current": 0}
    now = traffic(watch, WINDOW, now=now)
    watch.evaluate()
    assert watch.found["tokens"] < 0.1
    traffic(watch, LEAST, length=100, now=now)
    watch.evaluate()
    assert watch.found["tokens"] > 0.4
    assert watch.means["tokens", "current"] > 5 * watch.means["tokens", "reference"]


def test_however_much_comes_a_window_is_two_minutes_and_a_reference_as_long_as_it_is_told() -> None:
    watch = DriftWatch(HASH, 3600.0)
    traffic(watch, 40_000, every_s=0.01)  # 400 s at ten times the pace
    assert len(watch._last) == pytest.approx(400 / (3600 / REFERENCE), abs=3)
    frozen = DriftWatch(HASH, 60.0)
    traffic(frozen, REFERENCE, every_s=1)
    frozen.evaluate()
    traffic(frozen, 10 * WINDOW, now=10_000, every_s=EVERY_S)
    assert len(frozen._last) == WINDOW


def test_a_reference_outlives_its_replica_and_serves_those_that_come_later(own_store: Path) -> None:
    first = DriftWatch(HASH, 60.0)
    traffic(first, REFERENCE)
    first.evaluate()
    kept = load(HASH)
    assert kept is not None
    assert kept.count == REFERENCE
    later = DriftWatch(HASH, 60.0)
    traffic(later, LEAST, length=100)
    later.evaluate()
    assert later.found["tokens"] > 0.4
    assert list(path_of(HASH).parent.iterdir()) == [path_of(HASH)]


def test_a_store_that_cannot_be_written_leaves_the_reference_in_memory(own_store: Path) -> None:
    (own_store / "drift").write_text("no folder")
    watch = DriftWatch(HASH, 60.0)
    traffic(watch, LEAST, now=traffic(watch, REFERENCE) + 1)
    watch.evaluate()
    traffic(watch, LEAST, now=1e6)
    watch.evaluate()
    assert watch.found["tokens"] < 0.2


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 half of one"], ids=["empty", "no archive", "cut"])
def test_a_damaged_reference_is_made_anew(content: bytes) -> None:
    path_of(HASH).parent.mkdir()
    path_of(HASH).write_bytes(content)
    watch = DriftWatch(HASH, 60.0)
    traffic(watch, REFERENCE)
    watch.evaluate()
    kept = load(HASH)
    assert kept is not None
    assert kept.count == REFERENCE


def test_switched_off_nothing_is_taken() -> None:
    watch = DriftWatch(HASH, 0.0)
    traffic(watch, 100)
    watch.evaluate()
    assert (watch.on, watch.counts) == (False, {"reference": 0, "current": 0})


def loaded(hash_: str) -> Loaded:
    return Loaded(EMBEDDER, Label("m@1", hash_), list)  # type: ignore[arg-type]


async def test_only_good_rows_of_the_artifact_that_serves_are_taken() -> None:
    told: dict[str, float] = {}
    gauges = DriftGauges()
    gauges.inputs.set = lambda value, labels: told.__setitem__(labels["window"], value)  # type: ignore[method-assign]
    reporter = DriftReporter(("m", "1"), gauges)
    old, new = loaded("b" * 64), loaded(HASH)
    config = EncoderConfig(artifact="m@1")
    reporter.switch(config, new)
    vectors = np.array(
        [[0, 0], [0, 1], [0, 0]], np.float32
    )  # of a damaged one, a good one, and one at which the engine failed
    rows = [InputError("damaged"), np.arange(5), np.arange(7)]
    reporter.call(1.0, old, ["x", "y", "z"], rows, vectors)
    reporter.call(2.0, new, ["x"], rows[:1], vectors[:1])
    assert reporter._watch.counts["current"] == 0
    reporter.call(3.0, new, ["x", "y", "z"], rows, vectors)
    assert [traits for traits, _ in reporter._watch._last] == [{"tokens": 5.0}]
    async with asyncio.timeout(60):
        while not told:
            reporter.evaluate()
            await asyncio.sleep(0.01)
            gauges.flush()
    assert told == {"reference": 1, "current": 1}


def test_a_reference_is_kept_where_models_are_kept(own_store: Path) -> None:
    assert os.path.commonpath([path_of(HASH), own_store]) == str(own_store)
    assert watching.REFERENCE % WINDOW == 0, "the reference is compared part by part"
