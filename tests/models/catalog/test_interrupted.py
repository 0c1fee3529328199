"""An add that is interrupted, at whatever moment and however, leaves nothing that counts as a model, and the next one works."""

from __future__ import annotations

import random
import shutil
import signal
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from models.catalog.catalog import Catalog
from models.catalog.paths import ROOT
from models.catalog.store import kept_artifact
from models.catalog.undo import clear_interrupted
from tests.data.zoo.texts import case, pooling
from tests.models.catalog.adding import REFERENCE, Place, started, writes

ENDINGS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Bench:
    """Folders that models are added to, each like the one before the add."""

    folder: Path
    origin: Path
    whole: dict[str, str]  # what an add that nobody interrupts leaves
    total: int  # its writes
    seconds: float  # it took

    def place(self) -> Place:
        """The state before the add, once more in the same folder: records name it."""
        place = Place(self.folder / "place")
        shutil.rmtree(place.folder, ignore_errors=True)
        shutil.copytree(self.folder / "before", place.folder)
        return place


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "before").mkdir()
    shutil.copy(ROOT / "models" / "catalog.yaml", folder / "before" / "catalog.yaml")
    other = case("other", **{"1_Pooling__config_json": pooling("cls")}).write(folder / "other")
    origin = case("mine").write(folder / "mine")
    before = Place(folder / "before")
    assert ended(started(before, other, "other@1")) == 0
    place = Place(folder / "place")
    shutil.copytree(before.folder, place.folder)
    begin = time.monotonic()
    assert ended(started(place, origin)) == 0
    return Bench(folder, origin, place.files(), writes(place), time.monotonic() - begin)


def ended(process: BaseProcess) -> int:
    """Wait for it; returns its exit code."""
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def judge(bench: Bench, place: Place, before: dict[str, str], said: str) -> None:
    """After an interrupted add: it is in the catalogue whole, or nothing of it is anywhere, and adding it again works."""
    if place.has_it:
        assert kept_artifact(Catalog.load(place.catalog).find(REFERENCE)) is not None, said
        clear_interrupted()
        assert place.files() == bench.whole, said
        return
    clear_interrupted()
    assert place.files() == before, said
    assert ended(started(place, bench.origin)) == 0, said
    assert place.files() == bench.whole, said


@pytest.mark.parametrize(
    "step", [17, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])], ids=["some", "every"]
)
def test_an_add_that_ends_before_any_of_its_writes_leaves_nothing(
    bench: Bench, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = set()
    for ending in ENDINGS:
        for at in range(1 + ENDINGS.index(ending) * step // 3, bench.total + 1, step):
            place = bench.place()
            for key, value in place.environment.items():
                monkeypatch.setenv(key, value)
            before = place.files()
            status = ended(started(place, bench.origin, at=at, ending=ending))
            assert status != 0 or place.has_it, (at, ending)
            outcomes.add(place.has_it)
            judge(bench, place, before, f"{ending.name} at write {at} of {bench.total}")
    assert False in outcomes


@pytest.mark.parametrize(
    "times", [1, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(900)])], ids=["once", "often"]
)
def test_an_add_that_is_killed_at_any_moment_leaves_nothing(
    bench: Bench, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = random.Random(0)
    for _ in range(times):
        place = bench.place()
        for key, value in place.environment.items():
            monkeypatch.setenv(key, value)
        before = place.files()
        process = started(place, bench.origin)
        time.sleep(moments.uniform(0, bench.seconds))
        process.kill()
        ended(process)
        judge(bench, place, before, "killed")
