"""Models of one's own: what `embedserve models add, quantize, compare` take, show and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from models.catalog.artifact import open_artifact
from models.catalog.catalog import Catalog
from models.catalog.custom import describe_folder
from models.catalog.entries import add_entry
from models.catalog.paths import resolve_path
from models.embedder import Embedder, open_embedder
from models.engine.engine import Engine
from models.errors import CatalogError
from models.graph import clip_text, synthetic, vision
from models.graph.clip_text import ClipTextConfig
from models.graph.linear import Fp32Linear
from models.graph.vision import ClipVisionConfig
from models.inputs.token_ids import pad
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder
from models.modalities.text_graph import run_padded
from tests.command_line import embedserve
from tests.data.tiny import TinyModel
from tests.models.catalog.test_thirdparty import token_level

ROOT = Path(__file__).resolve().parents[3]
VISION = ClipVisionConfig(layers=2, heads=2, hidden=32, inner=64, image=32, patch=16, projection=24)
TEXT = ClipTextConfig(layers=2, heads=2, hidden=32, inner=64, vocabulary=9, positions=16, projection=24)
VISION_JSON = {
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 16,
}
TEXT_JSON = {
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "vocab_size": 9,
    "max_position_embeddings": 16,
    "eos_token_id": 3,
}
SENTENCES = ["hello world", "unseen", "hello", "world world hello"]


@dataclass(frozen=True)
class Bench:
    """A catalogue and a store of the test's own, and the command line that works on them."""

    folder: Path

    def run(self, *arguments: str) -> CompletedProcess[str]:
        environment = {
            "EMBEDSERVE_CATALOG": str(self.folder / "catalog.yaml"),
            "EMBEDSERVE_MODELS": str(self.folder / "store"),
            "COLUMNS": "200",
        }
        return embedserve("models", *arguments, environment=environment)

    def add(self, reference: str, origin: Path, *options: str) -> str:
        """Add a model that must be taken; returns what was printed."""
        done = self.run("add", reference, "--from", str(origin), *options)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def embedder(self, reference: str, monkeypatch: pytest.MonkeyPatch) -> Embedder:
        """The added model, loaded from where the catalogue says."""
        monkeypatch.setenv("EMBEDSERVE_MODELS", str(self.folder / "store"))
        spec = Catalog.load(self.folder / "catalog.yaml").find(reference)
        return open_embedder(open_artifact(spec, resolve_path(spec.path)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "catalog.yaml").write_bytes((ROOT / "models" / "catalog.yaml").read_bytes())
    return Bench(tmp_path)


def clip_folder(folder: Path, tokenizer: Path) -> Path:
    """A whole CLIP in miniature, as a hub keeps it."""
    folder.mkdir()
    config = {"model_type": "clip", "projection_dim": 24, "vision_config": VISION_JSON, "text_config": TEXT_JSON}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({**synthetic.clip_vision(VISION), **synthetic.clip_text(TEXT)}, folder / "model.safetensors")
    (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    return folder


def tower_folder(folder: Path, kind: str) -> Path:
    """One tower of it, as ``save_pretrained`` of the tower's own class writes it."""
    folder.mkdir()
    of_vision = kind == "clip_vision_model"
    config = {"model_type": kind, "projection_dim": 24, **(VISION_JSON if of_vision else TEXT_JSON)}
    (folder / "config.json").write_text(json.dumps(config))
    weights = synthetic.clip_vision(VISION) if of_vision else synthetic.clip_text(TEXT)
    save_file(weights, folder / "model.safetensors")
    return folder


def pooled_by(tiny: TinyModel, mode: str) -> Path:
    """The tiny model as a sentence-transformers folder that pools in a way."""
    (tiny.folder / "1_Pooling").mkdir()
    settings = {"word_embedding_dimension": 8, f"pooling_mode_{mode}": True}
    (tiny.folder / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(paths.items())
    ]
    (tiny.folder / "modules.json").write_text(json.dumps(modules))
    return tiny.folder


@pytest.mark.parametrize(("mode", "pooling"), [("mean_tokens", "mean"), ("cls_token", "cls")])
def test_a_sentence_transformers_folder_is_pooled_as_its_own_config_says(
    bench: Bench, tiny: TinyModel, mode: str, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = bench.add("mine@1", pooled_by(tiny, mode))
    assert all(word in shown for word in ("mine@1", "loads: ok", "embeds: ok", "ms each"))
    model = bench.embedder("mine@1", monkeypatch)
    assert isinstance(model, TextEmbedder)
    assert model.artifact.spec.config["pooling"] == pooling
    # The same weights without our pooling, pooled outside the graph instead.
    graph = onnx.load(str(model.artifact.graph))
    token_level(graph)
    session_input = model.tokenizer.encode(SENTENCES)
    path = bench.folder / "tokens.onnx"
    onnx.save(graph, str(path))
    expected = run_padded(Engine(path), *pad(session_input), pooling)  # type: ignore[arg-type]
    np.testing.assert_allclose(model.embed(SENTENCES), expected, atol=2e-6)


@pytest.mark.parametrize(
    ("tower", "kind"),
    [("image", "clip_vision_model"), ("text", "clip_text_model")],
    ids=["the image tower", "the text tower"],
)
def test_a_whole_clip_gives_the_tower_asked_for(
    bench: Bench, tiny: TinyModel, tower: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tiny.folder / "tokenizer.json"
    bench.add("whole@1", clip_folder(bench.folder / "clip", tokenizer), "--tower", tower)
    alone = tower_folder(bench.folder / "tower", kind)
    if tower == "text":
        (alone / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    bench.add("alone@1", alone)
    whole, single = (bench.embedder(name, monkeypatch) for name in ("whole@1", "alone@1"))
    assert whole.artifact.spec.dimensions == single.artifact.spec.dimensions == 24
    if isinstance(whole, ImageEmbedder):
        assert isinstance(single, ImageEmbedder)
        pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
        np.testing.assert_array_equal(whole.embed_pixels(pixels), single.embed_pixels(pixels))
    else:
        assert isinstance(single, TextEmbedder)
        np.testing.assert_array_equal(whole.embed(SENTENCES), single.embed(SENTENCES))


def test_an_onnx_file_with_its_tokenizer_is_taken_as_it_is(
    bench: Bench, tiny: TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.add("mine@1", tiny.folder)
    ours = bench.embedder("mine@1", monkeypatch)
    assert isinstance(ours, TextEmbedder)
    folder = bench.folder / "export"
    folder.mkdir()
    graph = onnx.load(str(ours.artifact.graph))
    token_level(graph)
    onnx.save(graph, str(folder / "model.onnx"))
    (folder / "tokenizer.json").write_bytes((tiny.folder / "tokenizer.json").read_bytes())
    silent = bench.run("add", "export@1", "--from", str(folder / "model.onnx"))
    assert (silent.returncode, "say it with --pooling" in " ".join(silent.stderr.split())) == (1, True)
    bench.add("export@1", folder / "model.onnx", "--pooling", "mean", "--max-length", "16")
    theirs = bench.embedder("export@1", monkeypatch)
    assert isinstance(theirs, TextEmbedder)
    assert theirs.artifact.spec.dimensions == 8
    np.testing.assert_allclose(theirs.embed(SENTENCES), ours.embed(SENTENCES), atol=2e-6)


def test_an_image_graph_says_its_size_and_dimensions_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bench.folder / "vision.onnx"
    onnx.save(vision.build(VISION, synthetic.clip_vision(VISION), Fp32Linear()), str(path))
    bench.add("pictures@1", path)
    model = bench.embedder("pictures@1", monkeypatch)
    assert isinstance(model, ImageEmbedder)
    assert (model.shape, model.artifact.spec.dimensions) == ((32, 32, 3), 24)


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def another_kind(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "t5"}))


def a_dense_layer(folder: Path) -> None:
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Dense"}])
    )


def max_pooling(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_max_tokens": True}))


def a_missing_layer(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({n: a for n, a in weights.items() if "layer.1" not in n}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (no_weights, "lacks model.safetensors; pickled weights (.bin) are not loaded"),
        (another_kind, "model_type is 't5'; taken are bert"),
        (
            a_dense_layer,
            "modules.json lists Dense; served are Transformer, Pooling, any number of Dense, and Normalize",
        ),
        (max_pooling, "1_Pooling/config.json is there, and no modules.json says that it runs"),
        (a_missing_layer, "encoder.layer.1"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "lacks tokenizer.json"),
    ],
    ids=[
        "pickled weights",
        "another architecture",
        "a dense layer on top",
        "a pooling that nothing lists",
        "a missing layer",
        "no words",
    ],
)
def test_what_cannot_be_served_is_refused_with_the_reason(
    bench: Bench, tiny: TinyModel, change: Callable[[Path], None], says: str
) -> None:
    change(tiny.folder)
    before = (bench.folder / "catalog.yaml").read_text()
    done = bench.run("add", "mine@1", "--from", str(tiny.folder))
    assert done.returncode == 1
    assert says in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert (bench.folder / "catalog.yaml").read_text() == before


def test_a_version_that_exists_is_not_replaced(bench: Bench, tiny: TinyModel) -> None:
    bench.add("mine@1", tiny.folder)
    done = bench.run("add", "mine@1", "--from", str(tiny.folder))
    assert done.returncode == 1
    assert "versions do not change, add another" in " ".join(done.stderr.split())


def test_compare_prints_and_draws_what_one_wants_to_know_before_switching(bench: Bench, tiny: TinyModel) -> None:
    bench.add("mine@1", tiny.folder)
    bench.add("mine@2", tiny.folder, "--precision", "int8")
    sample = bench.folder / "sample.txt"
    sample.write_text("\n".join(SENTENCES * 4))
    plot = bench.folder / "cosines.png"
    pytest.importorskip("matplotlib", reason="the plots extra draws the PNG")
    done = bench.run("compare", "mine@1", "mine@2", str(sample), "--plot", str(plot))
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("cosine, mean", "lowest", "top-10 overlap", "mine@2, ms"))
    assert Image.open(plot).size[0] > 400


def test_compare_refuses_two_spaces(bench: Bench, tiny: TinyModel) -> None:
    bench.add("mine@1", tiny.folder)
    other = tower_folder(bench.folder / "tower", "clip_text_model")
    (other / "tokenizer.json").write_bytes((tiny.folder / "tokenizer.json").read_bytes())
    bench.add("other@1", other)
    sample = bench.folder / "sample.txt"
    sample.write_text("\n".join(SENTENCES))
    done = bench.run("compare", "mine@1", "other@1", str(sample))
    assert done.returncode == 1
    assert "vectors of different sizes" in done.stderr


def test_quantize_writes_a_smaller_graph_of_close_vectors(bench: Bench, tiny: TinyModel) -> None:
    wide = ClipTextConfig(**{**asdict(TEXT), "hidden": 128, "inner": 256, "vocabulary": 500})
    source, target = bench.folder / "fp32.onnx", bench.folder / "int8.onnx"
    onnx.save(clip_text.build(wide, synthetic.clip_text(wide), Fp32Linear()), str(source))
    done = bench.run("quantize", str(source), str(target))
    assert done.returncode == 0, done.stderr
    assert "instead of" in done.stdout
    assert target.stat().st_size < source.stat().st_size * 0.45
    ids = np.random.default_rng(0).integers(0, 500, (6, 9))
    mask = np.ones_like(ids)
    exact, quantised = (run_padded(Engine(path), ids, mask) for path in (source, target))
    assert (exact * quantised).sum(axis=1).min() > 0.995
    np.testing.assert_array_equal(run_padded(Engine(target), ids[2:3], mask[2:3])[0], quantised[2])


def test_quantize_says_when_there_is_nothing_to_quantise(bench: Bench, tiny: TinyModel) -> None:
    bench.add("mine@1", tiny.folder)
    done = bench.run("quantize", str(bench.folder / "store" / "mine-1.onnx"), str(bench.folder / "int8.onnx"))
    assert done.returncode == 1
    assert "holds no float32 product" in done.stderr
    assert not (bench.folder / "int8.onnx").exists()


def test_the_catalogue_keeps_its_link_and_permissions_and_pins_what_was_added(bench: Bench, tiny: TinyModel) -> None:
    real = bench.folder / "kept" / "catalog.yaml"
    real.parent.mkdir()
    (bench.folder / "catalog.yaml").rename(real)
    (bench.folder / "catalog.yaml").symlink_to(real)
    real.chmod(0o640)
    bench.add("mine@1.0.0", tiny.folder)
    assert (bench.folder / "catalog.yaml").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    spec = Catalog.load(real).find("mine@1.0.0")
    assert spec.hash is not None
    refused = bench.run("add", "../../x@1", "--from", str(tiny.folder))
    assert (refused.returncode, "must be NAME@VERSION" in refused.stderr) == (1, True)
    assert not list(bench.folder.rglob("x-1*"))


def test_an_entry_that_somebody_else_writes_meanwhile_is_not_lost(bench: Bench, tiny: TinyModel) -> None:
    path = bench.folder / "catalog.yaml"
    spec = describe_folder("mine@1.0.0", tiny.folder)
    theirs = path.read_text() + "# a colleague's note\n"
    with pytest.MonkeyPatch.context() as patch:
        load = Catalog.load

        def write_and_load(file: Path | None = None) -> Catalog:
            if file != path:  # the trial, right before it takes the catalogue's place
                path.write_text(theirs)
            return load(file)

        patch.setattr(Catalog, "load", write_and_load)
        with pytest.raises(CatalogError, match="changed by somebody else"):
            add_entry(path, spec)
    assert path.read_text() == theirs
