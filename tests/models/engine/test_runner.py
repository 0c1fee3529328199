"""Runs of one session side by side."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from models.embedder import open_embedder
from models.engine.engine import Engine
from models.engine.runner import Runner
from models.engine.runs import runs_of
from models.engine.session import EngineOptions
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder
from tests.models.loading import artifact_of

RUNS = 24


class Session(ort.InferenceSession):  # type: ignore[misc]
    """Holds a run until the gate is open."""

    def __init__(self, path: str) -> None:
        super().__init__(path, providers=["CPUExecutionProvider"])
        self.gate = threading.Event()
        self.gate.set()
        self.runs = 0

    def run(self, *arguments: Any, **named: Any) -> Any:
        self.runs += 1
        self.gate.wait(30)
        return super().run(*arguments, **named)


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(str(artifact_of("text-embedding@1.1.0").graph))


def feeds(rows: int) -> dict[str, NDArray[Any]]:
    ids = np.arange(1000, 1000 + rows * 9, dtype=np.int64).reshape(rows, 9)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def test_a_session_is_busy_while_a_run_is_under_way(session: Session) -> None:
    runner = Runner(session, "embedding")
    assert not runner.busy
    session.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(runner.run, feeds(3))
        while not runner.busy:
            pass
        session.gate.set()
        assert first.result().shape == (3, 384)
    assert not runner.busy


def test_a_run_that_fails_is_not_under_way_any_more(session: Session) -> None:
    runner = Runner(session, "embedding")
    with pytest.raises(Exception, match="batch_size=2"):
        runner.run({"input_ids": feeds(2)["input_ids"], "attention_mask": np.ones((3, 4), np.int64)})
    assert not runner.busy


def test_a_run_beside_another_goes_to_the_spare_session_and_the_next_alone_does_not() -> None:
    first, spare = (Session(str(artifact_of("text-embedding@1.1.0").graph)) for _ in range(2))
    runner = Runner(first, "embedding", spare)
    first.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(runner.run, feeds(3))
        while not runner.busy:
            pass
        assert runner.run(feeds(2)).shape == (2, 384)
        assert (first.runs, spare.runs) == (1, 1)
        first.gate.set()
        held.result()
    runner.run(feeds(1))
    assert (first.runs, spare.runs) == (2, 1)


def test_every_run_of_a_divided_batch_goes_to_the_spare_session() -> None:
    first, spare = (Session(str(artifact_of("text-embedding@1.1.0").graph)) for _ in range(2))
    runner = Runner(first, "embedding", spare)
    with runner.divided():
        assert runner.busy
        assert [len(runner.run(feeds(rows))) for rows in (1, 3)] == [1, 3]
    assert not runner.busy
    assert (first.runs, spare.runs) == (0, 2)


@pytest.mark.parametrize(
    ("version", "threads", "spare", "pieces"),
    [
        ("image-embedding@1.1.0", 2, True, [4, 4]),
        ("image-embedding@1.1.0", 2, False, [8]),
        ("image-embedding@1.1.0", 1, True, [8]),
        ("image-embedding@1.0.0", 2, True, [8]),
    ],
    ids=[
        "among the threads where operators are short",
        "not without sessions of one thread",
        "not on one thread",
        "not where operators are long enough to be shared",
    ],
)
def test_eight_pictures_alone_are_divided(version: str, threads: int, spare: bool, pieces: list[int]) -> None:
    engine = Engine(artifact_of(version).graph, EngineOptions(threads=threads, spare=spare))
    assert engine.parts(8, 16) == pieces
    with engine.graph.free.divided():
        assert engine.parts(8, 16) == [8], "another batch is under way"


@pytest.mark.parametrize(("spare", "divided"), [(True, True), (False, False)], ids=["two sessions", "one session"])
def test_a_list_of_texts_alone_is_divided_where_there_are(spare: bool, divided: bool) -> None:
    engine = Engine(artifact_of("text-embedding@1.0.0").graph, EngineOptions(threads=2, spare=spare))
    assert [len(run) for run in runs_of([13] * 16, engine.run_limits)] == ([8, 8] if divided else [16])
    with engine.graph.free.divided():
        assert [len(run) for run in runs_of([13] * 16, engine.run_limits)] == [16]
    names: list[str] = []
    engine.map(lambda _: names.append(threading.current_thread().name) or np.zeros((1, 1), np.float32), [1, 2])  # type: ignore[func-returns-value]
    assert all(name.startswith("embed") for name in names) == divided


@pytest.mark.parametrize(
    ("version", "threads", "spare", "sessions"),
    [
        ("text-embedding@1.0.0", 2, True, 2),
        ("text-embedding@1.0.0", 2, False, 1),
        ("text-embedding@1.0.0", 1, True, 1),
        ("text-embedding@1.1.0", 2, True, 1),
    ],
    ids=[
        "where threads share operators and it is asked for",
        "nowhere else",
        "not where there is one thread",
        "not where threads compute inputs of their own",
    ],
)
def test_there_is_a_spare_session(version: str, threads: int, spare: bool, sessions: int) -> None:
    engine = Engine(artifact_of(version).graph, EngineOptions(threads=threads, spare=spare))
    assert engine.graph.free.sessions == sessions


@pytest.mark.parametrize("spare", [False, True], ids=["in one session", "in two sessions"])
@pytest.mark.parametrize(
    "version",
    ["text-embedding@1.0.0", "text-embedding@1.1.0", "image-embedding@1.0.0", "image-embedding@1.1.0"],
)
def test_bits_are_the_same_alone_and_beside_others(version: str, spare: bool) -> None:
    embedder = open_embedder(artifact_of(version), EngineOptions(threads=2, spare=spare))
    random = np.random.default_rng(1)
    inputs: list[Any]
    if isinstance(embedder, ImageEmbedder):
        inputs = [random.integers(0, 256, (n, 224, 224, 3), np.uint8) for n in (1, 2, 3)]
        embed = embedder.embed_pixels
    else:
        assert isinstance(embedder, TextEmbedder)
        inputs = [list(random.integers(1000, 9000, (n, 12), np.int32)) for n in (1, 7, 40)]
        embed = embedder.embed_rows  # type: ignore[assignment]
    alone = [embed(each).tobytes() for each in inputs]
    turns = [i % len(inputs) for i in range(RUNS)]
    with ThreadPoolExecutor(3) as pool:
        assert [vectors.tobytes() for vectors in pool.map(lambda i: embed(inputs[i]), turns)] == [
            alone[i] for i in turns
        ]
