"""Which provider computes what, as ONNX Runtime itself recorded it."""

from __future__ import annotations

from collections import Counter

import onnxruntime as ort
import pytest

from models.engine.placement import RECORD, off_card, placement, trouble_of
from models.engine.providers import CPU, CUDA
from tests.models.loading import artifact_of

# What onnxruntime-gpu 1.31.1 says of our graphs; docs/gpu.md says how that was found without a card.
FP16 = {(CPU, "Concat"): 2, (CUDA, "Attention"): 12, (CUDA, "Gemm"): 48, (CUDA, "MatMul"): 2, (CUDA, "Reshape"): 29}
INT8 = {(CPU, "MatMulIntegerToFloat"): 49, (CUDA, "Attention"): 12, (CUDA, "MatMul"): 1, (CUDA, "Mul"): 96}


@pytest.mark.parametrize(
    ("placed", "expected"),
    [
        (FP16, False),
        (INT8, True),
        (FP16 | {(CPU, "FusedMatMul"): 1}, True),
        (FP16 | {(CPU, "Attention"): 6}, True),
        ({(CPU, "Reshape"): 9, (CPU, "Shape"): 4}, False),
        ({}, False),
    ],
    ids=[
        "a fp16 graph",
        "an int8 graph",
        "one product of many on the CPU",
        "half of the attention on the CPU",
        "no product at all",
        "nothing known",
    ],
)
def test_a_card_is_in_the_way_of(placed: dict[tuple[str, str], int], expected: bool) -> None:
    trouble = trouble_of(placed)
    assert (trouble is not None) is expected
    if trouble is not None:
        assert all(f"{count} {operator}" in trouble.what for operator, count in off_card(placed).items())


def test_products_off_the_card_are_named_and_shape_arithmetic_is_not() -> None:
    assert off_card(INT8) == {"MatMulIntegerToFloat": 49}
    assert off_card(FP16) == {}


def test_every_node_of_a_session_is_accounted_for() -> None:
    options = ort.SessionOptions()
    options.add_session_config_entry(RECORD, "1")
    path = str(artifact_of("text-embedding@1.2.0").graph)
    placed = placement(ort.InferenceSession(path, options, providers=[CPU]))
    assert {provider for provider, _ in placed} == {CPU}
    assert Counter(placed)[(CPU, "Attention")] == 6
    assert trouble_of(placed) is not None
