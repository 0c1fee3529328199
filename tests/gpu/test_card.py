"""What only a card can show; ``pytest -m gpu``. `bench/gpu/` measures, this checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from deployments.config.limits import EncoderLimits
from models.catalog.record import is_synthetic
from models.embedder import Embedder, open_embedder, warm_up
from models.engine.buckets import image_buckets
from models.engine.card_engine import SLOTS, GpuEngine
from models.engine.card_memory import arena_limit
from models.engine.cards import GpuDevice, find
from models.engine.placement import off_card, placement
from models.engine.provider_options import Device, engine_folder
from models.engine.providers import CPU, CUDA, TENSORRT, Wish
from models.engine.session import EngineOptions
from models.engine.shapes import weight_bytes
from models.errors import ArtifactError
from models.fidelity import cosines
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder
from tests.models.loading import artifact_of, embedder_of

CARD = find()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(CARD is None, reason="no card here: nvidia-smi does not answer"),
    pytest.mark.skipif(
        CUDA not in ort.get_available_providers(), reason="this ONNX Runtime has no CUDA: scripts/setup.sh gpu"
    ),
    pytest.mark.timeout(900),
]
FP16 = {"text": "text-embedding@1.2.0", "image": "image-embedding@1.2.0"}
FP32 = {"text": "text-embedding@1.0.0", "image": "image-embedding@1.0.0"}
VARIANT = {"text": "text-embedding@1.4.0", "image": "image-embedding@1.4.0"}  # of fp16, for cards
TEXTS = ["hello world", "a red running shoe", *(f"waterproof hiking boots, size {n} " * (1 + n % 5) for n in range(30))]
ALIKE = [f"waterproof hiking boots, size {n}" for n in range(10, 42)]  # of one length, so that all of them run together


def opened(reference: str, wish: Wish = "cuda", device: Device | None = None) -> Embedder:
    options = EngineOptions(
        provider=wish,
        device=device or Device(),
        largest_run=64 if reference in (FP16["image"], FP32["image"]) else 4096,
    )
    return open_embedder(artifact_of(reference), options)


def vectors(embedder: Embedder, count: int = len(TEXTS), texts: list[str] = TEXTS) -> np.ndarray:
    if isinstance(embedder, TextEmbedder):
        return embedder.embed(texts[:count])
    assert isinstance(embedder, ImageEmbedder)
    pixels = np.random.default_rng(0).integers(0, 256, (len(TEXTS), *embedder.shape), np.uint8)
    return embedder.embed_pixels(pixels[:count])


def bound(embedder: Embedder) -> GpuEngine:
    found = embedder.engine.graph.bound
    assert isinstance(found, GpuEngine)
    return found


def card() -> GpuDevice:
    assert CARD is not None
    return CARD


@pytest.mark.parametrize("kind", FP16)
def test_cuda_computes_when_it_is_asked_for(kind: str) -> None:
    assert opened(FP16[kind]).engine.provider == CUDA


@pytest.mark.parametrize("kind", FP16)
def test_what_costs_runs_on_the_card(kind: str) -> None:
    """One such operator on the CPU copies activations there and back; shapes and small sums may be computed there."""
    for reference in (FP16[kind], VARIANT[kind]):
        placed = placement(opened(reference).engine.graph.session)
        on_cpu = {operator for provider, operator in placed if provider == CPU}
        assert not off_card(placed)
        assert not on_cpu & {"LayerNormalization", "SkipLayerNormalization", "Gelu", "BiasGelu", "QuickGelu", "Softmax"}


@pytest.mark.parametrize("kind", FP16)
def test_fp16_on_the_card_is_as_good_as_fp32(kind: str) -> None:
    values = cosines(vectors(opened(FP16[kind])), vectors(embedder_of(FP32[kind])))
    assert values.min() >= 0.9995


@pytest.mark.parametrize("kind", FP16)
def test_the_variant_for_cards_is_as_good(kind: str) -> None:
    if is_synthetic(artifact_of(VARIANT[kind])) is not is_synthetic(artifact_of(FP32[kind])):
        pytest.skip("its weights are random ones here, and those of fp32 are not")
    values = cosines(vectors(opened(VARIANT[kind])), vectors(embedder_of(FP32[kind])))
    assert values.min() >= 0.9995


@pytest.mark.parametrize("kind", FP32)
def test_fp32_on_the_card_is_fp32(kind: str) -> None:
    values = cosines(vectors(opened(FP32[kind])), vectors(embedder_of(FP32[kind])))
    assert values.min() >= 0.999999


@pytest.mark.parametrize("kind", FP16)
def test_neighbours_in_a_bucket_leave_an_input_its_bits(kind: str) -> None:
    """Both runs have one shape: bits may differ between shapes, whose kernels add up in another order."""
    embedder = opened(FP16[kind])
    buckets = bound(embedder).buckets
    assert buckets.rows_for(25) == buckets.rows_for(32) == 32
    if isinstance(embedder, TextEmbedder):
        rows = embedder.preparation(EncoderLimits())(ALIKE)
        assert len({embedder.tokens(row) for row in rows}) == 1
    first = vectors(embedder, 25, ALIKE)  # the last row beside repeated ones
    again = vectors(embedder, 32, ALIKE)[:25]
    np.testing.assert_array_equal(first, again)


def test_pictures_differ_little_between_buckets() -> None:
    embedder = opened(FP16["image"])
    assert isinstance(embedder, ImageEmbedder)
    pixels = np.random.default_rng(0).integers(0, 256, (64, *embedder.shape), np.uint8)
    alone = embedder.embed_pixels(pixels[:1])
    for rows in image_buckets(64).rows:
        assert cosines(embedder.embed_pixels(pixels[:rows])[:1], alone)[0] >= 0.99999


def test_both_artifacts_fit_on_a_quarter_of_the_card_during_a_swap() -> None:
    limit = arena_limit(card().memory, 0.25)
    old = opened(FP16["image"], device=Device(memory_limit=limit))
    new = opened(FP32["image"], device=Device(memory_limit=limit))
    warm_up(new)
    assert cosines(vectors(old), vectors(new)).min() >= 0.9995


def test_weights_without_room_are_refused_before_they_are_loaded() -> None:
    """ONNX Runtime would load them: it reserves weights beside its arena, whose limit then bounds nothing any more."""
    with pytest.raises(ArtifactError, match=r"of the card's memory .* may take 16 MiB"):
        opened(FP32["image"], device=Device(memory_limit=16 << 20))


def test_an_arena_without_room_is_an_error_and_not_a_slow_replica() -> None:
    """Room for the weights and the buffers, and a mebibyte for what 64 pictures come to on the way, which is 38 times that in one layer."""
    path = artifact_of(FP32["image"]).graph
    pixels = 224 * 224 * 3
    limit = weight_bytes(path) + SLOTS * sum(image_buckets(64).rows) * pixels + (1 << 20)
    with pytest.raises(ArtifactError, match=r"(?i)memory"):
        warm_up(opened(FP32["image"], device=Device(memory_limit=limit)))


def test_host_memory_is_pinned_in_both_slots() -> None:
    embedder = opened(FP16["image"])
    warm_up(embedder)
    assert embedder.engine.noticed == ()


def test_replayed_launches_give_the_same_bits() -> None:
    plain, replayed = opened(FP16["image"]), opened(FP16["image"], device=Device(cuda_graph=True))
    for count in (1, 8, 32):
        np.testing.assert_array_equal(vectors(replayed, count), vectors(plain, count))


@pytest.mark.skipif(TENSORRT not in ort.get_available_providers(), reason="this ONNX Runtime has no TensorRT")
def test_built_engines_are_used_again(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt", reason="TensorRT's own libraries are not installed")
    artifact = artifact_of(FP16["text"])
    folder = engine_folder(tmp_path, artifact.hash, card().identity, ort.__version__)
    folder.mkdir(parents=True)
    first = opened(FP16["text"], "tensorrt", Device(engines=folder))
    assert first.engine.provider == TENSORRT
    vectors(first)
    built = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert built
    vectors(opened(FP16["text"], "tensorrt", Device(engines=folder)))
    assert {
        file.name: file.stat().st_mtime_ns for file in folder.iterdir() if file.name.endswith(".engine")
    }.items() <= built.items()
