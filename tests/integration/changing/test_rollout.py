"""Rollouts on the real service, under 16 clients whose every answer is checked."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import httpx2
import pytest

from tests.integration.changing.test_operator import TEXT, V0, V1, Running, running, two
from tests.integration.waiting import wait

__all__ = ["running", "two"]
pytestmark = pytest.mark.slow
SHORT = ("--steps", "20,60,100", "--every", "4s", "--min-requests", "60", "--slower", "3")
LONG = [f"{i}: " + "a text of many words, so that the slower model needs its time " * 8 for i in range(16)]


@pytest.fixture
def heavy(two: Running) -> Iterator[Running]:
    """Clients whose requests take a model long enough to tell two apart."""
    ended = threading.Event()

    def client(number: int) -> None:
        turn = 0
        with httpx2.Client(base_url=two.service.url, timeout=60, trust_env=False) as session:
            while not ended.is_set():
                turn += 1
                texts = [f"{number} {turn} {text}" for text in LONG]
                assert session.post("/v1/embeddings", json={"model": TEXT, "input": texts}).status_code == 200

    threads = [threading.Thread(target=client, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    yield two
    ended.set()
    for thread in threads:
        thread.join()


def test_a_good_candidate_reaches_all_traffic(two: Running) -> None:
    said = two.run("rollout", V1, *SHORT)
    assert said.count("passed:") == 2
    assert two.shares() == {V0: 0, V1: 1}


@pytest.mark.parametrize("how", ["--resume", "--abort"])
def test_a_rollout_whose_process_was_killed_is_in_the_hands_of_another(two: Running, how: str) -> None:
    command = two.start("rollout", V1, *SHORT)
    wait("the first step", lambda: two.shares().get(V1) == pytest.approx(0.2))
    process = command._process.pid
    assert process is not None
    os.kill(process, signal.SIGKILL)
    assert command.end()[0] == -signal.SIGKILL
    two.run("rollout", V1, how)
    assert two.shares() == ({V0: 0, V1: 1} if how == "--resume" else {V0: 1, V1: 0})


def test_a_slow_candidate_is_undone(heavy: Running) -> None:
    heavy.become(v1_0_0=0, v1_1_0=100)  # int8 is the incumbent, and float32 takes twice as long
    said = heavy.run(
        "rollout", V0, "--steps", "40,100", "--every", "60s", "--min-requests", "30", "--slower", "1.1", code=1
    )
    assert "stopped: p" in said
    assert heavy.shares() == {V0: 0, V1: 1}
