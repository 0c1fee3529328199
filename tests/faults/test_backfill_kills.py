"""A job whose driver, worker or whole Ray is killed at random moments ends complete, and computes little twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from bench.backfill.memory import command_line, descendants
from deployments.backfill.ray_stages import WAITING, WRITERS
from tests.deployments.backfill.conftest import rows_in, titles, write_rows
from tests.faults.backfill_job import BLOCK_ROWS

KILLS = 10
BLOCKS = 500
# What one kill may cost: a block that is computed, those that came back from the engine and are not written yet.
IN_FLIGHT = 1 + WAITING + WRITERS
GONE_S = 180  # Ray's agents look for their dead GCS for a minute before they end


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.slow
@pytest.mark.timeout(840)
def test_ten_kills_at_random_moments_lose_nothing_and_compute_only_blocks_in_flight_again(tmp_path: Path) -> None:
    chance = random.Random(23)
    source, sink, log = (
        write_rows(tmp_path / "a.parquet", list(titles(BLOCKS * BLOCK_ROWS))),
        tmp_path / "sink",
        tmp_path / "log",
    )
    command = [sys.executable, "-m", "tests.faults.backfill_job", str(source), str(sink), str(log)]
    victims = [chance.choice(["driver", "worker", "ray"]) for _ in range(KILLS)]
    assert set(victims) == {"driver", "worker", "ray"}

    def start() -> subprocess.Popen[str]:
        log.touch()
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    job, started, costs = start(), 1, []
    orphans: list[int] = []
    for victim in victims:
        lines = len(log.read_text().split())
        deadline = time.monotonic() + 120
        while len(log.read_text().split()) < lines + 3 and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 3))
        assert job.poll() is None, job.communicate()
        below = descendants(job.pid)
        if victim == "worker":
            workers = [
                pid for pid in below if command_line(pid).startswith("ray::") and "Agent" not in command_line(pid)
            ]
            kill([chance.choice(workers)])
        elif victim == "ray":
            kill(below)
        else:
            kill([job.pid])
        if victim != "worker":
            job.communicate(timeout=GONE_S)
            orphans += below
            job, started = start(), started + 1
        costs.append((victim, sum(Counter(log.read_text().split()).values()) - len(set(log.read_text().split()))))
    out, said = job.communicate(timeout=400)
    assert job.returncode == 0, said
    summary = json.loads(out.splitlines()[-1])
    deadline = time.monotonic() + GONE_S
    while any(map(alive, orphans)) and time.monotonic() < deadline:
        time.sleep(0.5)
    left = [command_line(pid) for pid in orphans if alive(pid)]
    kill([pid for pid in orphans if alive(pid)])
    assert left == [], f"these outlived their job by {GONE_S} s"
    again = {number: count - 1 for number, count in Counter(log.read_text().split()).items() if count > 1}
    table = rows_in(sink)
    print(f"kills {victims}, starts {started}, blocks {BLOCKS}, computed again {sum(again.values())}: {costs}")
    assert (summary["embedded"], summary["bad"], summary["blocks"]) == (BLOCKS * BLOCK_ROWS, 0, BLOCKS)
    assert sorted(table["id"].to_pylist()) == sorted(f"p{i}" for i in range(BLOCKS * BLOCK_ROWS))
    assert sum(again.values()) <= KILLS * IN_FLIGHT, again
