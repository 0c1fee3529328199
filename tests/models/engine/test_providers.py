from __future__ import annotations

from pathlib import Path

import pytest

from models.catalog.artifact import Artifact
from models.engine.engine import Engine
from models.engine.providers import CPU, CUDA, OPENVINO, PROVIDERS, TENSORRT, WISHES, Wish, choose, shortfall
from models.engine.session import EngineOptions
from models.modalities.text import TextEmbedder
from tests.models.loading import artifact_of

ALL = [TENSORRT, CUDA, CPU]
CHOICES: dict[str, tuple[Wish, list[str], float | None, tuple[str, ...]]] = {
    "auto takes TensorRT first": ("auto", ALL, 1, (TENSORRT, CUDA, CPU)),
    "auto takes CUDA without TensorRT": ("auto", [CPU, CUDA], 1, (CUDA, CPU)),
    "auto takes the CPU where nothing else is": ("auto", [CPU], 1, (CPU,)),
    "auto leaves a card alone that Ray gave to another": ("auto", ALL, 0, (CPU,)),
    "auto takes a card where nobody counts": ("auto", ALL, None, (TENSORRT, CUDA, CPU)),
    "auto takes a card for half of it": ("auto", ALL, 0.5, (TENSORRT, CUDA, CPU)),
    "tensorrt falls to CUDA": ("tensorrt", [CUDA, CPU], 1, (CUDA, CPU)),
    "cuda never takes TensorRT": ("cuda", ALL, 1, (CUDA, CPU)),
    "cuda is asked for even where Ray gave nothing": ("cuda", ALL, 0, (CUDA, CPU)),
    "cuda ends at the CPU": ("cuda", [CPU], 1, (CPU,)),
    "cpu takes no card": ("cpu", ALL, 1, (CPU,)),
    "openvino is a runtime of its own, which no build lists": ("openvino", [CPU], 0, (OPENVINO,)),
    "auto takes no plugin": ("auto", [OPENVINO, CPU], None, (CPU,)),
    "others that are there are left alone": ("auto", ["AzureExecutionProvider", CPU], 1, (CPU,)),
    "the CPU is always there": ("auto", [], 1, (CPU,)),
}


@pytest.mark.parametrize(("wish", "available", "gpus", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_choosing(wish: Wish, available: list[str], gpus: float | None, expected: tuple[str, ...]) -> None:
    assert choose(wish, available, gpus=gpus) == expected


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("obtained", [*ALL, OPENVINO])
def test_a_shortfall_is_anything_but_what_was_named(wish: Wish, obtained: str) -> None:
    named = PROVIDERS.get(wish)
    problem = shortfall(wish, obtained)
    assert (problem is None) == (named in (None, obtained))
    assert (shortfall(wish, obtained, gpus=1) is None) == (named == obtained or (named is None and obtained != CPU))
    if problem:
        assert named is not None
        assert named in problem
        assert obtained in problem


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return artifact_of("text-embedding@1.0.0")


@pytest.mark.parametrize("wish", [wish for wish in WISHES if wish != "openvino"])
def test_an_engine_says_what_it_really_got(artifact: Artifact, wish: Wish) -> None:
    engine = Engine(artifact.graph, EngineOptions(threads=1, provider=wish, gpus=0))
    assert engine.provider == engine.graph.session.get_providers()[0]
    if engine.provider == CPU:
        assert engine.graph.options.on_cpu
        assert (shortfall(wish, engine.provider) is None) == (wish in ("auto", "cpu"))


def test_an_int8_graph_that_falls_to_the_cpu_is_run_as_on_a_cpu(artifact: Artifact) -> None:
    """Its threads compute inputs of their own there, whatever was asked for."""
    int8 = artifact_of("text-embedding@1.1.0")
    asked = TextEmbedder(int8, EngineOptions(threads=2, provider="auto", gpus=0))
    assert asked.engine.graph.pool is not None
    plain = TextEmbedder(int8, EngineOptions(threads=2))
    texts = ["hello world", "a red running shoe"]
    assert asked.embed(texts).tobytes() == plain.embed(texts).tobytes()


def test_asking_for_the_best_of_a_cpu_and_asking_for_the_cpu_share_a_session(artifact: Artifact) -> None:
    """Two sessions would hold the weights twice during a swap that changes nothing but the wish."""
    named = Engine(artifact.graph, EngineOptions(threads=1))
    best = Engine(artifact.graph, EngineOptions(threads=1, provider="auto", gpus=0, largest_run=512))
    assert best.graph.session is named.graph.session


def test_ort_never_changes_the_provider_behind_our_back(artifact: Artifact) -> None:
    session = Engine(artifact.graph, EngineOptions(threads=1)).graph.session
    assert not session._enable_fallback


def test_a_missing_file_is_said_whatever_the_provider(tmp_path: Path) -> None:
    from models.errors import ArtifactError

    with pytest.raises(ArtifactError, match="does not exist"):
        Engine(tmp_path / "none.onnx", EngineOptions(provider="cuda"))
