"""bf16 by OpenVINO: where it starts, where it does not, and that a vector's bits are its input's alone."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from models.catalog.artifact import Artifact
from models.embedder import open_embedder
from models.engine import openvino
from models.engine.engine import Engine
from models.engine.openvino import bf16_refusal
from models.engine.openvino_session import OpenVinoSession
from models.engine.session import EngineOptions
from models.errors import ArtifactError
from models.modalities.text import TextEmbedder
from tests.models.loading import artifact_of, embedder_of

AMX = {"avx512_bf16", "amx_bf16", "amx_tile"}
REFUSAL = bf16_refusal()


def computed(test: Callable[..., None]) -> Callable[..., None]:
    """Only where bfloat16 is computed; outside the plain suite, because a start tries the same (``models.trial``)."""
    skip = pytest.mark.skipif(REFUSAL is not None, reason=f"bf16 is not computed here: {REFUSAL}")
    return pytest.mark.slow(skip(test))


WORDS = [
    "the",
    "embedding",
    "of",
    "a",
    "sentence",
    "is",
    "a",
    "point",
    "near",
    "those",
    "of",
    "others",
    "that",
    "mean",
    "the",
    "same",
]


def test_bf16_is_for_processors_that_have_its_instructions() -> None:
    assert bf16_refusal(AMX) is None
    assert bf16_refusal({"avx512_bf16"}) is None
    assert "no instructions for bfloat16 (none of amx_bf16, avx512_bf16" in str(bf16_refusal({"avx512f", "amx_tile"}))


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return artifact_of("text-embedding@1.3.0")


def test_where_it_is_not_computed_a_version_says_why_and_where_it_would_start(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "processor_flags", lambda: frozenset({"avx2", "avx512f"}))
    with pytest.raises(
        ArtifactError,
        match=r"no instructions for bfloat16 .* Sapphire Rapids .*EPYCs from Genoa .* fp32 or int8 version",
    ):
        open_embedder(artifact)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_card_computes_no_bf16_version(artifact: Artifact, provider: str) -> None:
    with pytest.raises(ArtifactError, match=f"configuration says provider: {provider}"):
        Engine(artifact.graph, EngineOptions(provider=provider))  # type: ignore[arg-type]


@computed
def test_what_computes_is_said_truthfully(artifact: Artifact) -> None:
    engine = embedder_of("text-embedding@1.3.0").engine
    assert engine.provider == "OpenVINO"
    assert engine.numerics("bf16").startswith("openvino/bf16/")


@computed
@pytest.mark.parametrize("reference", ["text-embedding@1.3.0", "clip-text-embedding@1.2.0"])
def test_a_texts_bits_do_not_depend_on_its_company(reference: str) -> None:
    model = embedder_of(reference)
    assert isinstance(model, TextEmbedder)

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(lengths=st.lists(st.integers(0, 60), min_size=1, max_size=40), data=st.data())
    def check(lengths: list[int], data: st.DataObject) -> None:
        generator = np.random.default_rng(len(lengths))
        rows = [model.tokenizer.wrap(generator.integers(1000, 20000, n).tolist()) for n in lengths]
        position = data.draw(st.integers(0, len(rows) - 1))
        alone = model.embed_rows([rows[position]])[0]
        np.testing.assert_array_equal(model.embed_rows(rows)[position], alone)
        np.testing.assert_array_equal(model.embed_rows(rows[::-1])[len(rows) - 1 - position], alone)

    check()


@computed
def test_texts_bits_do_not_depend_on_the_batches_of_other_threads() -> None:
    model = embedder_of("text-embedding@1.3.0")
    assert isinstance(model, TextEmbedder)
    assert model.engine.graph.row_pool is not None, "batches share runs"
    generator = np.random.default_rng(0)
    lengths = [generator.integers(0, 60, generator.integers(1, 40)) for _ in range(40)]
    batches = [[model.tokenizer.wrap(generator.integers(1000, 20000, n).tolist()) for n in batch] for batch in lengths]
    alone = [model.embed_rows(rows) for rows in batches]
    with ThreadPoolExecutor(8) as threads:
        for expected, found in zip(alone, threads.map(model.embed_rows, batches), strict=True):
            np.testing.assert_array_equal(found, expected)


@computed
def test_a_pictures_bits_do_not_depend_on_its_company() -> None:
    model = embedder_of("image-embedding@1.3.0")
    pixels = np.random.default_rng(0).integers(0, 256, (7, 224, 224, 3), np.uint8)
    together = model.embed_rows(list(pixels))
    for picture, vector in zip(pixels, together, strict=True):
        np.testing.assert_array_equal(model.embed_rows([picture])[0], vector)


@computed
def test_bf16_stays_close_to_fp32() -> None:
    texts = [" ".join(WORDS[i % 7 : i % 7 + i % 11 + 1]) for i in range(60)]
    exact, rounded = (embedder_of(f"text-embedding@{v}").embed_items(texts) for v in ("1.0.0", "1.3.0"))
    cosines = (exact.astype(np.float64) * rounded).sum(axis=1)
    assert cosines.mean() >= 0.9999
    assert cosines.min() >= 0.9998


CHILD = """
import json, sys
import numpy as np
from models.engine import engine, session
from models.engine.openvino_session import OpenVinoSession
from models.engine.session import EngineOptions
from models.embedder import open_embedder
from tests.models.loading import artifact_of
engine.require_bf16 = lambda name: None
session.OpenVinoSession = lambda path, bf16, threads: OpenVinoSession(path, bf16=False, threads=threads)
model = open_embedder(artifact_of("text-embedding@1.3.0"), EngineOptions(threads=2))
texts = json.load(sys.stdin)
together = model.embed(texts)
alone = [model.embed([text])[0] for text in texts]
same = all(np.array_equal(a, b) for a, b in zip(alone, together))
print("RESULT", json.dumps({"provider": model.engine.provider, "same": same, "vectors": together.tolist()}))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="emulates x86-64")
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64 (Debian: apt-get install qemu-user)")
def test_the_same_graph_is_computed_in_float32_where_there_is_no_bfloat16_here_an_emulated_haswell(
    artifact: Artifact,
) -> None:
    texts = ["hello world", "x", " ".join(WORDS), " ".join(WORDS * 3)]
    command = [str(shutil.which("qemu-x86_64")), "-cpu", "Haswell", sys.executable, "-c", CHILD]
    output = subprocess.run(
        command, input=json.dumps(texts), capture_output=True, text=True, check=True, env=dict(os.environ), timeout=280
    ).stdout
    (line,) = [line for line in output.splitlines() if line.startswith("RESULT")]
    found = json.loads(line.removeprefix("RESULT"))
    assert found["provider"] == "OpenVINO"
    assert found["same"]
    exact = embedder_of("text-embedding@1.0.0").embed_items(texts)
    assert ((exact * np.array(found["vectors"])).sum(axis=1) > 0.9999).all()


def test_products_of_integers_are_left_to_onnx_runtime() -> None:
    with pytest.raises(
        ArtifactError, match="has products of integers, which ONNX Runtime computes; set provider: cpu or auto"
    ):
        Engine(artifact_of("text-embedding@1.1.0").graph, EngineOptions(provider="openvino", threads=1))


def test_a_graph_that_openvino_does_not_take_is_refused_in_words(tmp_path: Path) -> None:
    text, truth = (helper.make_tensor_value_info(name, kind, [1]) for name, kind in (("text", 8), ("embedding", 9)))
    node = helper.make_node("RegexFullMatch", ["text"], ["embedding"], pattern="a*")
    model = helper.make_model(
        helper.make_graph([node], "strings", [text], [truth]), opset_imports=[helper.make_opsetid("", 20)]
    )
    onnx.save(model, tmp_path / "strings.onnx")
    with pytest.raises(
        ArtifactError,
        match=r"OpenVINO does not take strings.onnx; it takes graphs of standard operators.*RegexFullMatch",
    ):
        OpenVinoSession(tmp_path / "strings.onnx", bf16=False, threads=1)


REPORTS = """
import sys
from pathlib import Path
from models.engine.openvino_session import OpenVinoSession
OpenVinoSession(Path(sys.argv[1]), bf16=False, threads=1)
print([name for name, module in sys.modules.items() if "telemetry" in name and module and "openvino." not in name])
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="OpenVINO is installed on x86-64")
def test_openvino_reports_to_nobody_and_leaves_nothing_in_the_home_folder(artifact: Artifact, tmp_path: Path) -> None:
    command = [sys.executable, "-c", REPORTS, str(artifact.graph)]
    home = {**os.environ, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=home, timeout=120)
    assert ended.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []
