"""Runs of one session side by side."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from models.embedder import ImageEmbedder, TextEmbedder, open_embedder
from models.engine import run_parts
from models.runner import Runner
from models.session import EngineOptions
from tests.models.loading import artifact_of

RUNS = 24


class Session(ort.InferenceSession):  # type: ignore[misc]
    """Counts runs by their way, and holds a plain run until as many have begun as are told."""

    def __init__(self, path: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        super().__init__(path, options, providers=["CPUExecutionProvider"])
        self.plain = self.aside = 0
        self.gate = threading.Event()
        self.gate.set()

    def run(self, *arguments: Any, **named: Any) -> Any:
        self.plain += 1
        self.gate.wait(30)
        return super().run(*arguments, **named)

    def run_async(self, *arguments: Any, **named: Any) -> Any:
        self.aside += 1
        return super().run_async(*arguments, **named)


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(str(artifact_of("text-embedding@1.1.0").graph))


def feeds(rows: int) -> dict[str, NDArray[Any]]:
    ids = np.arange(1000, 1000 + rows * 9, dtype=np.int64).reshape(rows, 9)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def test_a_run_beside_another_goes_aside_and_one_alone_does_not(session: Session) -> None:
    runner = Runner(session, "embedding", 2)
    session.plain = session.aside = 0
    alone = runner.run(feeds(3))
    assert (session.plain, session.aside) == (1, 0)
    session.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(runner.run, feeds(3))
        while not runner.busy:
            pass
        beside = runner.run(feeds(3))
        session.gate.set()
        results = [first.result(), beside, runner.run(feeds(3))]
    assert (session.plain, session.aside) == (3, 1)
    assert not runner.busy
    for result in results:
        np.testing.assert_array_equal(result, alone)


def test_a_session_of_one_thread_has_no_other_to_go_to(session: Session) -> None:
    runner = Runner(session, "embedding", 1)
    session.aside = 0
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: runner.run(feeds(2)), range(RUNS)))
    assert session.aside == 0


def test_a_run_that_fails_aside_fails_alone_and_leaves_its_place(session: Session) -> None:
    runner = Runner(session, "embedding", 2)
    for _ in range(2):
        session.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(runner.run, feeds(1))
            while not runner.busy:
                pass
            with pytest.raises(RuntimeError, match="batch_size=2"):
                runner.run({"input_ids": feeds(2)["input_ids"], "attention_mask": np.ones((3, 4), np.int64)})
            session.gate.set()
            assert first.result().shape == (1, 384)
    assert not runner.busy


@pytest.mark.parametrize(
    "version",
    ["text-embedding@1.0.0", "text-embedding@1.1.0", "image-embedding@1.0.0", "image-embedding@1.1.0"],
)
def test_bits_are_the_same_alone_and_beside_others(version: str) -> None:
    embedder = open_embedder(artifact_of(version), EngineOptions(threads=2))
    random = np.random.default_rng(1)
    inputs: list[Any]
    if isinstance(embedder, ImageEmbedder):
        inputs = [random.integers(0, 256, (n, 224, 224, 3), np.uint8) for n in (1, 2, 3)]
        embed = embedder.embed_pixels
    else:
        assert isinstance(embedder, TextEmbedder)
        inputs = [list(random.integers(1000, 9000, (n, 12), np.int32)) for n in (1, 7, 40)]
        embed = embedder.embed_ids  # type: ignore[assignment]
    alone = [embed(each).tobytes() for each in inputs]
    turns = [i % len(inputs) for i in range(RUNS)]
    with ThreadPoolExecutor(3) as pool:
        assert [vectors.tobytes() for vectors in pool.map(lambda i: embed(inputs[i]), turns)] == [
            alone[i] for i in turns
        ]


@pytest.mark.parametrize(
    ("count", "threads", "by_input", "parts"),
    [(16, 2, True, 2), (16, 1, True, 1), (40, 1, True, 3), (39, 2, False, 1), (40, 1, False, 3), (4, 2, True, 1)],
    ids=[
        "inputs are shared among threads that are free",
        "no thread waits for inputs that another could take",
        "a run never exceeds what stays in the cache",
        "nor what stays in the caches of all threads",
        "nor in one where the others are taken",
        "few tokens keep to one thread",
    ],
)
def test_a_batch_of_texts_is_split_so_that(count: int, threads: int, by_input: bool, parts: int) -> None:
    assert run_parts(count, 13, threads, by_input=by_input) == parts
