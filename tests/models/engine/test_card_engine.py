"""The path of a card, with the CPU provider standing in: shapes, buffers and turns are the same there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
import pytest

from models.embedder import open_embedder
from models.engine.buckets import text_buckets
from models.engine.card_engine import GpuEngine, output_shape
from models.engine.engine import Engine
from models.engine.session import EngineOptions
from models.inputs.token_ids import pad
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder
from tests.models.loading import artifact_of, embedder_of

TEXT_VERSIONS = ["text-embedding@1.0.0", "text-embedding@1.2.0", "clip-text-embedding@1.0.0"]
BUCKETED = EngineOptions(threads=2, bucketed=True, largest_run=2048)  # padded tokens
BUCKETED_PICTURES = EngineOptions(threads=2, bucketed=True, largest_run=8)


def bound(engine: Engine) -> GpuEngine:
    assert engine.graph.bound is not None
    return engine.graph.bound


def rows_of(model: TextEmbedder, count: int, longest: int, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(0, longest - 1, count)
    return [model.tokenizer.wrap(generator.integers(1000, 20000, n).tolist()) for n in lengths]


@pytest.mark.parametrize("version", TEXT_VERSIONS)
def test_texts_have_the_bits_of_the_plain_path_in_every_bucket(version: str) -> None:
    plain = embedder_of(version)
    bucketed = open_embedder(artifact_of(version), BUCKETED)
    assert isinstance(plain, TextEmbedder)
    assert isinstance(bucketed, TextEmbedder)
    for count in (1, 2, 3, 5, 8, 13, 33):
        for longest in (3, 9, 17, 70):
            rows = rows_of(plain, count, longest, seed=count * longest)
            ids, mask = pad(rows)
            np.testing.assert_array_equal(bucketed.run_padded(ids, mask), plain.run_padded(ids, mask))


def test_more_texts_than_a_bucket_takes_run_in_pieces() -> None:
    plain = embedder_of(TEXT_VERSIONS[0])
    bucketed = open_embedder(artifact_of(TEXT_VERSIONS[0]), BUCKETED)
    assert isinstance(plain, TextEmbedder)
    assert isinstance(bucketed, TextEmbedder)
    rows = rows_of(plain, 300, 20)
    assert bound(bucketed.engine).buckets.most_rows(20) < 300
    np.testing.assert_array_equal(bucketed.run_padded(*pad(rows)), plain.run_padded(*pad(rows)))
    np.testing.assert_array_equal(bucketed.embed_rows(rows), plain.embed_rows(rows))


def test_pictures_have_the_bits_of_the_plain_path() -> None:
    plain = embedder_of("image-embedding@1.0.0")
    bucketed = open_embedder(artifact_of("image-embedding@1.0.0"), BUCKETED_PICTURES)
    assert isinstance(plain, ImageEmbedder)
    assert isinstance(bucketed, ImageEmbedder)
    pixels = np.random.default_rng(0).integers(0, 256, (11, *plain.shape), np.uint8)
    expected = plain.embed_pixels(pixels)
    for count in (1, 3, 8, 11):
        np.testing.assert_array_equal(bucketed.embed_pixels(pixels[:count]), expected[:count])


def test_runs_in_flight_do_not_mix() -> None:
    plain = embedder_of(TEXT_VERSIONS[0])
    bucketed = open_embedder(artifact_of(TEXT_VERSIONS[0]), BUCKETED)
    assert isinstance(plain, TextEmbedder)
    assert isinstance(bucketed, TextEmbedder)
    batches = [pad(rows_of(plain, 1 + seed % 5, 12, seed)) for seed in range(40)]
    expected = [plain.run_padded(*batch) for batch in batches]
    with ThreadPoolExecutor(6) as pool:  # more callers than slots
        results = list(pool.map(lambda batch: bucketed.run_padded(*batch), batches))
    for got, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_run_that_fails_gives_its_slot_back() -> None:
    bucketed = open_embedder(artifact_of(TEXT_VERSIONS[0]), BUCKETED)
    assert isinstance(bucketed, TextEmbedder)
    ids, mask = pad(rows_of(bucketed, 2, 8))
    for _ in range(5):  # more than there are slots
        with pytest.raises(Exception, match="indices element out of data bounds"):
            bucketed.run_padded(np.full_like(ids, 10**9), mask)
    assert np.isfinite(bucketed.run_padded(ids, mask)).all()


@pytest.mark.parametrize(
    ("version", "options"),
    [
        ("text-embedding@1.0.0", EngineOptions(threads=2, bucketed=True, largest_run=256)),
        ("image-embedding@1.0.0", EngineOptions(threads=2, bucketed=True, largest_run=2)),
    ],
    ids=["texts", "pictures"],
)
def test_every_bucket_is_warm_in_every_slot_before_traffic_comes(version: str, options: EngineOptions) -> None:
    embedder = open_embedder(artifact_of(version), options)
    engine = bound(embedder.engine)
    shapes = set(engine.buckets.shapes())
    assert embedder.engine.warm_up(embedder.warm_up_example()) == len(shapes)
    slots = [engine._slots.get() for _ in range(engine._slots.qsize())]
    assert len(slots) == 2
    for slot in slots:
        assert {(rows, length) for rows, length in shapes} <= {
            (shape[0], shape[1] if engine.buckets.lengths else None) for _, shape in slot._inputs
        }


def test_all_slots_are_warmed_at_once() -> None:
    """Two runs need twice the memory of one, and traffic runs two."""
    plain = embedder_of(TEXT_VERSIONS[0])
    both = threading.Barrier(2)

    class Session(ort.InferenceSession):  # type: ignore[misc]
        def run_with_iobinding(self, *arguments: object) -> None:
            both.wait(60)  # breaks where one run waits for the other to end
            super().run_with_iobinding(*arguments)

    session = Session(str(plain.artifact.graph), providers=["CPUExecutionProvider"])
    engine = GpuEngine(session, "embedding", text_buckets(16, 32))
    example = {"input_ids": np.full((1, 1), 101), "attention_mask": np.ones((1, 1), np.int64)}
    assert engine.warm_up(example) == len(list(engine.buckets.shapes()))


def test_captured_graphs_are_warmed_up_and_replayed_in_one_thread() -> None:
    """CUDA keeps a captured graph for the thread that captured it; another one would capture again, under traffic."""
    plain = embedder_of(TEXT_VERSIONS[0])
    assert isinstance(plain, TextEmbedder)
    seen: list[int] = []

    class Session(ort.InferenceSession):  # type: ignore[misc]
        def run_with_iobinding(self, *arguments: object) -> None:
            seen.append(threading.get_ident())
            super().run_with_iobinding(*arguments)

    session = Session(str(plain.artifact.graph), providers=["CPUExecutionProvider"])
    engine = GpuEngine(session, "embedding", text_buckets(16, 64), graphs=True)
    ids, mask = pad(rows_of(plain, 3, 12))
    feeds = {"input_ids": ids, "attention_mask": mask}
    engine.warm_up({name: value[:1, :1] for name, value in feeds.items()})
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: engine.run(feeds), range(8)))
    assert len(set(seen)) == 1
    assert seen[0] != threading.get_ident()
    for result in results:
        np.testing.assert_array_equal(result, plain.run_padded(ids, mask))


def test_texts_of_one_bucket_run_together() -> None:
    bucketed = open_embedder(artifact_of(TEXT_VERSIONS[0]), BUCKETED)
    assert isinstance(bucketed, TextEmbedder)
    assert bucketed.engine.padded([3, 9, 16, 17]) == [8, 16, 16, 24]
    assert embedder_of(TEXT_VERSIONS[0]).engine.padded([3, 9]) == [3, 9]


def test_buckets_change_nothing_where_a_cpu_computes() -> None:
    embedder = embedder_of(TEXT_VERSIONS[0])
    assert embedder.engine.graph.bound is None
    assert embedder.engine.warm_up(embedder.warm_up_example()) == 0


@pytest.mark.parametrize(
    ("declared", "length", "expected"),
    [
        (["n", 512], None, (4, 512)),
        (["n", "t", 384], 16, (4, 16, 384)),
        (["n", 50, 768], None, (4, 50, 768)),
        (["n", "d"], None, None),
        ([], None, None),
    ],
    ids=["one vector each", "one per token", "one per patch", "an unknown width", "no shape"],
)
def test_the_output_buffer_follows_the_graph_that_declares(
    declared: list[object], length: int | None, expected: tuple[int, ...] | None
) -> None:
    assert output_shape(declared, 4, length) == expected
