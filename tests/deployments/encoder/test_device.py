from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest

from deployments.config.encoder import EncoderConfig
from deployments.encoder.device import options_for, prove
from models.engine.cards import GpuDevice
from models.engine.providers import CPU, CUDA, Wish
from models.errors import ArtifactError
from tests.models.loading import artifact_of, embedder_of

MIB = 1 << 20
CARD = GpuDevice("NVIDIA H100", "9.0", 80_000 * MIB)
TEXT = "text-embedding@1.0.0"


def config(**more: Any) -> EncoderConfig:
    return EncoderConfig(artifact=TEXT, **more)


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime's answer on a machine whose build has CUDA; what we make of it is ours."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])


@pytest.mark.parametrize("wish", ["auto", "cuda"])
def test_half_a_card_limits_the_arena(cuda_build: None, wish: Wish) -> None:
    options = options_for(config(provider=wish), artifact_of(TEXT), 0.5, CARD)
    assert options.device.memory_limit == (int(80_000 * MIB * 0.45) - 512 * MIB) // 2
    assert options.providers == (CUDA, CPU)


def test_a_share_without_room_for_the_artifact_is_refused(cuda_build: None) -> None:
    with pytest.raises(ArtifactError, match="so that the next one fits beside it"):
        options_for(config(), artifact_of(TEXT), 0.5, replace(CARD, memory=1400 * MIB))


def test_a_replica_without_a_card_computes_on_the_cpu_of_a_machine_that_has_one(cuda_build: None) -> None:
    options = options_for(config(), artifact_of(TEXT), 0, None)
    assert options.on_cpu
    assert options.device.memory_limit is None


def test_shapes_end_at_the_batch_budget() -> None:
    runs = [
        options_for(config(batch_cost=8192), artifact_of(name), 0, None).largest_run
        for name in (TEXT, "image-embedding@1.0.0")
    ]
    assert runs == [8192, 128]


def test_built_engines_lie_in_a_folder_of_the_artifact_and_card(cuda_build: None, tmp_path: Path) -> None:
    folders = set()
    for card in (CARD, replace(CARD, compute="10.0")):
        engines = options_for(config(engine_cache=str(tmp_path)), artifact_of(TEXT), 1, card).device.engines
        assert engines is not None
        assert engines.is_dir()
        folders.add(engines)
    assert len(folders) == 2


def test_production_refuses_a_provider_that_was_not_asked_for() -> None:
    with pytest.raises(ArtifactError, match=f"provider: cuda asks for {CUDA} and ONNX Runtime gave {CPU}"):
        prove(embedder_of(TEXT), config(provider="cuda"), "production")


def test_development_warns_of_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ray.serve.embedserve"):
        prove(embedder_of(TEXT), config(provider="tensorrt"), "development")
    assert "asks for TensorrtExecutionProvider" in caplog.text


@pytest.mark.parametrize("wish", ["auto", "cpu"])
def test_production_is_content_with(wish: Wish) -> None:
    prove(embedder_of(TEXT), config(provider=wish), "production")
