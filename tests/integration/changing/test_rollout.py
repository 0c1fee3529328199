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
from onnx import helper, numpy_helper

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


def confused(folder: Path) -> Artifact:
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


def failing(folder: Path) -> Artifact:
    """The incumbent's graph, which fails at one text of a hundred: where the sum of the token ids ends with 37."""
    usual = pull(Catalog.load().find(V0), allow_synthetic=False)
    assert usual.tokenizer is not None
    graph = onnx.load(str(usual.graph))
    (output,) = graph.graph.output
    constants = {"hundred": np.int64(100), "wrong": np.int64(37), "last": np.array([1]), "only": np.ones(1, np.float32)}
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["own"]),
        helper.make_node("ReduceSum", ["own", "last"], ["sum"], keepdims=1),
        helper.make_node("Mod", ["sum", "hundred"], ["ends"]),
        helper.make_node("Equal", ["ends", "wrong"], ["bad"]),
        helper.make_node("Cast", ["bad"], ["row"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["only", "row"], ["ones"]),  # there is no second row
        helper.make_node("Mul", ["before", "ones"], [output.name]),
    ]
    for node in graph.graph.node:
        for place, name in enumerate(node.output):
            if name == output.name:
                node.output[place] = "before"
    graph.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    graph.graph.node.extend(nodes)
    path = folder / "failing.onnx"
    onnx.save(graph, path)
    shutil.copy(usual.tokenizer, tokenizer_path(path))
    return open_artifact(Catalog.load().find(V1), path)


def deploy(two: Running, candidate: Artifact, shadow: int = 0) -> None:
    """Serve an artifact as the second version, which has no traffic yet but copies."""
    two.known[candidate.hash] = dict(zip(TEXTS, open_embedder(candidate).embed(TEXTS), strict=True))
    document = two.weighted(v1_0_0=100, v1_1_0=0)
    application(document, "text-embedding--1-1-0")["deployments"][0]["user_config"] = {"artifact": str(candidate.graph)}
    user_config(document)["models"][TEXT]["shadow"] = {"1.1.0": shadow} if shadow else {}
    two.service.deploy(document)
    wait("the candidate", lambda: two.models()[V1]["hash"] == candidate.hash)


def test_a_candidate_that_fails_at_one_text_of_a_hundred_is_undone(two: Running, tmp_path: Path) -> None:
    candidate = failing(tmp_path)
    deploy(two, candidate)
    ended, failed = threading.Event(), []

    def client(number: int) -> None:
        turn = 0
        with httpx2.Client(base_url=two.service.url, timeout=60, trust_env=False) as session:
            while not ended.is_set():
                turn += 1
                text = f"{number} and {turn}"
                if (answer := session.post("/v1/embeddings", json={"model": TEXT, "input": text})).status_code != 200:
                    failed.append((text, answer.status_code, answer.text))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    try:
        said = two.run(
            "rollout", V1, "--steps", "20,60,100", "--every", "60s", "--min-requests", "100", "--slower", "9", code=1
        )
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert "stopped: errors" in said or "(errors" in said, said
    assert two.shares() == {V0: 1, V1: 0}
    assert failed
    for text, status, why in failed:  # the candidate's own failures, and no others
        assert status == 400, why
        assert "the model fails at this input" in why
        with pytest.raises(Exception, match="Gather"):
            open_embedder(candidate).embed([text])


def test_a_candidate_that_answers_other_neighbours_is_undone(two: Running, tmp_path: Path) -> None:
    deploy(two, confused(tmp_path), shadow=100)
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
