from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.engine.cores import usable_cores
from models.engine.session import EngineOptions

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("max 100000", CORES),
        ("100000 100000", 1),
        ("150000 100000", min(CORES, 2)),
        ("1000 100000", 1),
        ("99900000 100000", CORES),
        ("", CORES),
        (None, CORES),
    ],
    ids=[
        "none",
        "one core",
        "a part counts whole",
        "very little",
        "more than there are",
        "not readable",
        "no container",
    ],
)
def test_a_containers_quota_bounds_its_cores(quota: str | None, expected: int, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    if quota is not None:
        file.write_text(quota, encoding="ascii")
    assert usable_cores(file) == expected


def test_an_engine_takes_a_thread_for_each_core_that_it_may_use_unless_it_is_told_otherwise() -> None:
    assert EngineOptions().thread_count == usable_cores()
    assert EngineOptions(threads=3).thread_count == 3
