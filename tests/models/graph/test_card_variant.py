"""The variant for cards computes what the graph computes that it was made of, with fewer passes over a layer's rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from bench.roofline.graph import Card, roofline
from models.catalog.build import recipe
from models.catalog.catalog import Catalog
from models.catalog.custom import describe_folder
from models.catalog.folder import Wishes
from models.catalog.model_spec import ModelSpec
from models.catalog.store import pull
from models.errors import ArtifactError
from models.fidelity import cosines
from models.graph.card import for_cards
from models.graph.early_rows import select_early
from models.graph.linear import Fp16Linear, Fp32Linear, Linear
from models.modalities.text import TextEmbedder
from tests.data.tiny import TinyModel
from tests.models.graph.test_standard_graph import TOWERS
from tests.models.loading import embedder_of

Build = Callable[[Linear, TinyModel], onnx.ModelProto]
BUILDS = {name: build for name, (build, _) in TOWERS.items()}
TEXTS = [
    "",
    "hello world",
    "a red running shoe",
    *(f"waterproof hiking boots, size {n} " * (1 + n % 5) for n in range(30)),
]


def computed(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    vectors: np.ndarray = session.run(None, inputs)[0]
    return vectors


@pytest.mark.parametrize(("linear", "least"), [(Fp32Linear(), 0.999999), (Fp16Linear(), 0.9999)], ids=["fp32", "fp16"])
@pytest.mark.parametrize(("build", "inputs"), TOWERS.values(), ids=TOWERS)
def test_the_variant_computes_the_same_vectors(
    build: Build, inputs: dict[str, np.ndarray], linear: Linear, least: float, tiny: TinyModel
) -> None:
    plain = computed(build(linear, tiny), inputs)
    variant = computed(for_cards(build(linear, tiny)), inputs)
    assert cosines(variant, plain).min() >= least


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_no_bias_residual_or_split_takes_a_pass_of_its_own(build: Build, tiny: TinyModel) -> None:
    """All but the bias of a product before QuickGelu, which no fused operator adds."""
    plain = build(Fp16Linear(), tiny)
    kinds = Counter(node.op_type for node in for_cards(build(Fp16Linear(), tiny)).graph.node)
    layers = Counter(node.op_type for node in plain.graph.node)["Attention"]
    assert kinds["Attention"] == layers
    assert kinds["Split"] == kinds["Gelu"] == 0
    assert kinds["SkipLayerNormalization"] == 2 * layers
    assert kinds["Gemm"] == kinds["QuickGelu"]
    assert kinds["Add"] <= 2  # positions, and the place of a text's end


@pytest.mark.parametrize(("build", "inputs"), TOWERS.values(), ids=TOWERS)
def test_the_variant_is_never_more_work(build: Build, inputs: dict[str, np.ndarray], tiny: TinyModel) -> None:
    card, tokens = Card(4.8e12, 989e12, 2e-6), 12
    before = roofline(build(Fp16Linear(), tiny), card, 8, tokens)
    after = roofline(for_cards(build(Fp16Linear(), tiny)), card, 8, tokens)
    assert after.total.launches < before.total.launches
    assert after.total.bytes < before.total.bytes
    assert after.total.flop <= before.total.flop * 1.0001


@pytest.mark.parametrize("build", [BUILDS["CLIP's text tower"], BUILDS["CLIP's image tower"]], ids=["text", "image"])
def test_the_last_layer_computes_the_row_alone_that_is_taken(build: Build, tiny: TinyModel) -> None:
    """Of ``rows`` of an input, its output projection and feed-forward part are left for one."""
    card, plain = Card(1, 1, 0), build(Fp32Linear(), tiny)
    flop = {}
    for name, model in (
        ("plain", plain),
        ("early", select_early(onnx.ModelProto.FromString(plain.SerializeToString()))),
    ):
        flop[name] = roofline(model, card, 1, 12).total.flop
    rows, hidden, inner = (12, 32, 64) if "input_ids" in {i.name for i in plain.graph.input} else (17, 32, 64)
    saved = 2.0 * (rows - 1) * hidden * (hidden + 2 * inner)
    assert flop["plain"] - flop["early"] == pytest.approx(saved)


def test_a_graph_without_attention_that_can_be_packed_is_refused(tiny: TinyModel) -> None:
    packed = for_cards(BUILDS["BERT"](Fp32Linear(), tiny))
    with pytest.raises(ArtifactError, match="no attention of this graph can be packed"):
        for_cards(packed)


def test_the_shipped_text_variant_gives_the_vectors_of_fp32() -> None:
    exact, variant = (embedder_of(f"text-embedding@{version}") for version in ("1.0.0", "1.4.0"))
    assert isinstance(variant, TextEmbedder)
    assert cosines(variant.embed(TEXTS), exact.embed_items(TEXTS)).min() >= 0.9999


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_shipped_picture_variant_gives_the_vectors_of_fp16() -> None:
    plain, variant = (embedder_of(f"image-embedding@{version}") for version in ("1.2.0", "1.4.0"))
    pixels = np.random.default_rng(0).integers(0, 256, (4, 224, 224, 3), np.uint8)
    assert cosines(variant.embed_pixels(pixels), plain.embed_pixels(pixels)).min() >= 0.9999  # type: ignore[attr-defined]


def test_an_unknown_variant_is_named_with_those_there_are() -> None:
    spec = Catalog.load().find("text-embedding@1.0.0")
    with pytest.raises(ValueError, match=r"must be 'card', or left out, not 'gpu'"):
        ModelSpec.model_validate({**spec.model_dump(exclude_none=True), "variant": "gpu"})


def test_graphs_are_built_anew_when_their_variant_changes_and_not_otherwise() -> None:
    spec = Catalog.load().find("text-embedding@1.2.0")
    assert recipe(spec) == "3/fp16/-"
    assert recipe(spec.model_copy(update={"variant": "card"})) == "3/fp16/-/card"


def test_a_finished_graph_that_names_no_modules_has_no_variant(
    tmp_path: Path, tiny: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))
    folder = tmp_path / "finished"
    folder.mkdir()
    onnx.save(BUILDS["BERT"](Fp32Linear(), tiny), folder / "model.onnx")
    (folder / "tokenizer.json").write_bytes((tiny.folder / "tokenizer.json").read_bytes())
    spec = describe_folder("finished@1.0.0", folder, wishes=Wishes(max_length=12)).model_copy(
        update={"variant": "card"}
    )
    with pytest.raises(ArtifactError, match=r"does not name the modules of a model, as PyTorch's exporter writes them"):
        pull(spec, allow_synthetic=False)
