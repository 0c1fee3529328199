from __future__ import annotations

import pytest

from deployments.observability.encoder_metrics import EncoderMetrics
from models.engine.providers import CPU, CUDA


def test_every_hand_over_names_the_provider_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray forgets a gauge that is not set again."""
    metrics = EncoderMetrics()
    told: dict[str, float] = {}
    monkeypatch.setattr(metrics.provider, "set", lambda value, tags: told.update({tags["provider"]: value}))
    metrics.note_provider(("m", "1"), CUDA)
    metrics.note_provider(("m", "1"), CPU)
    told.clear()
    metrics.flush()
    assert (told[CPU], told[CUDA]) == (1, 0)


def test_a_swap_leaves_one_numerics_class_and_says_once_that_the_other_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = EncoderMetrics()
    told: list[tuple[float, str]] = []
    monkeypatch.setattr(metrics.numerics, "set", lambda value, tags: told.append((value, tags["numerics"])))
    metrics.note_numerics(("m", "1"), "aa", "cpu/fp32/avx2/onnxruntime-1.32.0", CPU, "fp32")
    metrics.note_numerics(("m", "1"), "bb", "openvino/bf16/amx_bf16/openvino-2026.4.1", "OpenVINO", "bf16")
    assert told[1:] == [
        (0, "cpu/fp32/avx2/onnxruntime-1.32.0"),
        (1, "openvino/bf16/amx_bf16/openvino-2026.4.1"),
    ]
    told.clear()
    metrics.flush()
    assert told == [(1, "openvino/bf16/amx_bf16/openvino-2026.4.1")]
