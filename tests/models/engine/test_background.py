"""Threads whose work nobody waits for."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.embedder import open_embedder
from models.engine import background
from models.engine.runner import Runner
from models.engine.session import EngineOptions
from tests.models.engine.test_runner import Session, feeds
from tests.models.loading import artifact_of


def test_a_run_of_the_background_leaves_the_first_session_and_its_threads_to_others() -> None:
    first, spare = (Session(str(artifact_of("text-embedding@1.1.0").graph)) for _ in range(2))
    runner = Runner(first, "embedding", spare)
    spare.gate.clear()
    with ThreadPoolExecutor(1, initializer=background.enter) as pool:
        held = pool.submit(runner.run, feeds(3))
        while not spare.runs:
            pass
        assert not runner.busy
        assert runner.run(feeds(2)).shape == (2, 384)
        spare.gate.set()
        assert held.result().shape == (3, 384)
    assert (first.runs, spare.runs) == (1, 1)


@pytest.mark.parametrize("version", ["text-embedding@1.0.0", "text-embedding@1.1.0", "image-embedding@1.0.0"])
def test_its_bits_are_those_of_everybody(version: str) -> None:
    embedder = open_embedder(artifact_of(version), EngineOptions(threads=2, spare=True))
    rows = [embedder.probe_row()] * 3
    with ThreadPoolExecutor(1, initializer=background.enter) as pool:
        assert pool.submit(embedder.embed_rows, rows).result().tobytes() == embedder.embed_rows(rows).tobytes()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority of their own")
def test_the_kernel_lets_every_other_thread_of_the_process_pass() -> None:
    with ThreadPoolExecutor(1, initializer=background.enter) as pool:
        there = pool.submit(lambda: (os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), background.here()))
        assert there.result() == (max(background.NICE, os.getpriority(os.PRIO_PROCESS, 0)), True)
    assert not background.here()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no policy of their own")
def test_it_never_takes_a_core_from_another_thread_by_waking_up() -> None:
    with ThreadPoolExecutor(1, initializer=background.enter) as pool:
        assert pool.submit(lambda: os.sched_getscheduler(threading.get_native_id())).result() == os.SCHED_BATCH
    assert os.sched_getscheduler(0) != os.SCHED_BATCH
