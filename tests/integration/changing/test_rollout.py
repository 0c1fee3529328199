"""Rollouts on the real service, under 16 clients whose every answer is checked."""

from __future__ import annotations

import math
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models.catalog.artifact import Artifact, open_artifact, tokenizer_path
from models.catalog.catalog import Catalog
from models.catalog.store import pull
from models.embedder import open_embedder
from tests.integration.changing.test_operator import TEXT, TEXTS, V0, V1, Running, running, two
from tests.integration.documents import application, user_config
from tests.integration.waiting import wait

__all__ = ["running", "two"]
pytestmark = pytest.mark.slow
SHORT = ("--steps", "20,60,100", "--every", "4s", "--min-requests", "60", "--slower", "3")
WORDS = ("dog", "boat", "tax", "apple", "war", "violin", "engine", "river", "shoe", "election", "planet", "salt")
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


def confused(running: Running, folder: Path) -> Artifact:
    """The incumbent's graph with its words' vectors dealt out anew: as fast, as often right, and about something else."""
    spec = Catalog.load().find(V0)
    usual = pull(spec, allow_synthetic=False)
    assert usual.tokenizer is not None
    graph = onnx.load(str(usual.graph))
    words = max(graph.graph.initializer, key=lambda tensor: math.prod(tensor.dims))
    dealt = np.random.default_rng(1).permutation(numpy_helper.to_array(words))
    words.CopyFrom(numpy_helper.from_array(dealt, words.name))
    path = folder / "confused.onnx"
    onnx.save(graph, path)
    shutil.copy(usual.tokenizer, tokenizer_path(path))
    return open_artifact(Catalog.load().find(V1), path)


def test_a_candidate_that_answers_other_neighbours_is_undone(two: Running, tmp_path: Path) -> None:
    artifact = confused(two, tmp_path)
    two.known[artifact.hash] = dict(zip(TEXTS, open_embedder(artifact).embed(TEXTS), strict=True))
    document = two.weighted(v1_0_0=100, v1_1_0=0)
    application(document, "text-embedding--1-1-0")["deployments"][0]["user_config"] = {"artifact": str(artifact.graph)}
    user_config(document)["models"][TEXT]["shadow"] = {"1.1.0": 100}
    two.service.deploy(document)
    wait("the confused candidate", lambda: two.models()[V1]["hash"] == artifact.hash)
    # Texts from templates share words, which random vectors find as well: 55 % were the same; int8 shares 97 %.
    told = ("--steps", "5,50,100", "--every", "90s", "--min-requests", "30", "--slower", "5", "--min-overlap", "0.8")
    command = two.start("rollout", V1, *told)
    with httpx2.Client(base_url=two.service.url, timeout=60, trust_env=False) as client:
        for turn in range(20):
            texts = [f"{word} and {turn} other things about {word}s" for word in WORDS]
            assert client.post("/v1/embeddings", json={"model": TEXT, "input": texts}).status_code == 200
    status, said = command.end()
    assert status == 1, said
    assert "stopped: neighbours" in said
    assert two.shares() == {V0: 1, V1: 0}
