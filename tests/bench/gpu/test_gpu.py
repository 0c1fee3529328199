from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto

from bench.gpu.matrix import CHAINED, ceiling, matrix_graph, text_flop
from bench.gpu.model import ModelResult
from bench.gpu.probe import Swap, Throughput, fidelity, invariance, rate, throughputs
from bench.gpu.tables import COSINE_BAR, misses
from models.engine.providers import CPU
from tests.models.loading import embedder_of

TEXT = "text-embedding@1.0.0"


def test_a_text_of_16_tokens_costs_a_third_of_a_gigaflop() -> None:
    assert text_flop(16) == pytest.approx(0.342e9, rel=0.01)
    assert text_flop(32) > 2 * text_flop(16)  # attention grows with the square


def test_the_matrix_graph_multiplies_as_often_as_it_is_counted() -> None:
    session = ort.InferenceSession(matrix_graph(4, TensorProto.FLOAT), providers=[CPU])
    w = np.diag(np.full(4, 0.5, np.float32))
    result = session.run(None, {"x": np.eye(4, dtype=np.float32), "w": w})[0]
    np.testing.assert_allclose(result, np.linalg.matrix_power(w, CHAINED))


def test_a_ceiling_is_found_on_a_cpu_too() -> None:
    assert ceiling((CPU,), 128, 0.05, 2) > 1e8


def test_the_rate_counts_every_input_of_every_slot() -> None:
    calls: list[int] = []
    found = rate(lambda: calls.append(1), 10, 0.05)
    assert 0 < found * 0.05 <= 10 * len(calls) * 1.5


def test_shares_are_of_the_ceiling() -> None:
    (one,) = throughputs(lambda _: lambda: np.zeros((1, 1), np.float32), [4], flop=2.0, ceiling=8.0, seconds=0.02)
    assert one.share == pytest.approx(one.rate / 4)


def test_vectors_are_compared_with_themselves_and_with_those_of_other_batches() -> None:
    embedder = embedder_of(TEXT)
    assert fidelity(embedder, embedder, 16, 8) == pytest.approx((1, 1))
    assert invariance(embedder, 16, [1, 4]) == {1: 0, 4: 0}


@pytest.mark.parametrize(
    ("reference", "best", "cosine", "missed"),
    [
        ("image-embedding@1.2.0", 25_000, 0.9996, 0),
        ("image-embedding@1.2.0", 24_999, 0.9996, 1),
        ("text-embedding@1.2.0", 149_999, COSINE_BAR - 1e-6, 2),
    ],
    ids=["both bars held", "too slow", "too slow and not alike"],
)
def test_misses_are_named(reference: str, best: float, cosine: float, missed: int) -> None:
    rows = [Throughput(1, 1.0, 0.0), Throughput(512, best, 0.1)]
    result = ModelResult(reference, "x", rows, 1.0, cosine, {}, Swap(1, 1, 1, 1))
    assert len(misses([result])) == missed
