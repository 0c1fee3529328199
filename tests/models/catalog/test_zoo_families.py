"""Every family that is built from weights computes what its library computes, alone and in company, and in int8 nearly so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from models.catalog.custom import describe_folder, described
from models.catalog.store import pull
from models.embedder import open_embedder
from models.engine.openvino import bf16_refusal
from models.errors import ArtifactError
from models.inputs.token_ids import pad
from models.modalities.image import ImageEmbedder
from models.modalities.text import TextEmbedder
from tests.data.zoo.families import (
    DATA,
    LONGEST,
    MUTATED_TEXTS,
    PICTURE_CASES,
    PICTURES,
    TEXT_CASES,
    TEXTS,
    TOWER_CASES,
    Picture,
    Text,
    config_mutations,
    write_picture,
    write_text,
)

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")
LIBRARY = np.load(DATA / "families.npz")
Vectors = NDArray[np.float32]


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDSERVE_MODELS", str(tmp_path / "store"))


def text_model(folder: Path, precision: str = "fp32") -> TextEmbedder:
    return TextEmbedder(pull(describe_folder("zoo@1", folder, precision, "text"), allow_synthetic=False))


def image_model(folder: Path, precision: str = "fp32") -> ImageEmbedder:
    return ImageEmbedder(pull(describe_folder("zoo@1", folder, precision, "image"), allow_synthetic=False))


def cosines(first: Vectors, second: Vectors) -> NDArray[np.float64]:
    return (first.astype(np.float64) * second).sum(axis=1)


def picture(name: str) -> bytes:
    return (DATA.parent / "pictures" / name).read_bytes()


ALL_TEXTS = [*TEXT_CASES, *TOWER_CASES]
BF16 = pytest.mark.skipif(bf16_refusal() is not None, reason=str(bf16_refusal()))
IN_BF16 = 0.9995  # tiny models of random weights: 0.99982 at the lowest here, real ones lie closer


@pytest.mark.parametrize("case", ALL_TEXTS, ids=[case.name for case in ALL_TEXTS])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.999999), ("int8", 0.99)])
def test_an_encoder_of_texts_gives_the_vectors_of_its_library_and_each_alone_the_same_bits(
    case: Text, precision: str, least: float, tmp_path: Path
) -> None:
    model = text_model(write_text(case, tmp_path / "model"), precision)
    vectors = model.embed(TEXTS)
    assert cosines(vectors, LIBRARY[case.name]).min() > least
    rows = model.tokenizer.encode(TEXTS)
    together = model.run_padded(*pad(rows))
    for row, vector in zip(rows, together, strict=True):
        np.testing.assert_array_equal(model.run_padded(*pad([row]))[0], vector)
    assert model.max_tokens == LONGEST


@pytest.mark.parametrize("case", PICTURE_CASES, ids=[case.name for case in PICTURE_CASES])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.99999), ("int8", 0.99)])
def test_an_encoder_of_pictures_gives_the_vectors_of_its_library_and_each_alone_the_same_bits(
    case: Picture, precision: str, least: float, tmp_path: Path
) -> None:
    model = image_model(write_picture(case, tmp_path / "model"), precision)
    pictures = [picture(name) for name in PICTURES]
    vectors = model.embed(pictures)
    assert cosines(vectors, LIBRARY[case.name]).min() > least
    for data, vector in zip(pictures, vectors, strict=True):
        np.testing.assert_array_equal(model.embed([data])[0], vector)


UNPACKED = (
    "mpnet",
    "modernbert",
    "nomic_bert",
)  # their attention adds distances to its scores, or turns queries and keys


@pytest.mark.parametrize("case", ALL_TEXTS, ids=[case.name for case in ALL_TEXTS])
def test_the_variant_for_cards_gives_the_librarys_vectors_of_texts_too(case: Text, tmp_path: Path) -> None:
    spec = described("zoo@1", write_text(case, tmp_path / "model"), tower="text", variant="card").spec
    if case.name.startswith(UNPACKED):
        with pytest.raises(ArtifactError, match="no attention of this graph can be packed for cards"):
            pull(spec, allow_synthetic=False)
        return
    model = TextEmbedder(pull(spec, allow_synthetic=False))
    assert cosines(model.embed(TEXTS), LIBRARY[case.name]).min() > 0.999999


@pytest.mark.parametrize("case", PICTURE_CASES, ids=[case.name for case in PICTURE_CASES])
def test_the_variant_for_cards_gives_the_librarys_vectors_of_pictures_too(case: Picture, tmp_path: Path) -> None:
    model = ImageEmbedder(
        pull(described("zoo@1", write_picture(case, tmp_path / "model"), variant="card").spec, allow_synthetic=False)
    )
    assert cosines(model.embed([picture(name) for name in PICTURES]), LIBRARY[case.name]).min() > 0.99999


def mutants(step: int) -> list[tuple[Text, Vectors]]:
    """Every ``step``-th mutation of config.json with the library's vectors, which are not numbers where it refuses."""
    library = np.load(DATA / "families_mutated.npz")["vectors"]
    return list(zip(config_mutations(), library, strict=True))[::step]


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_mutated_config_json_is_followed_as_the_library_does_or_refused(step: int, tmp_path: Path) -> None:
    wrong = []
    outcomes = {"followed": 0, "refused": 0}
    for index, (case, expected) in enumerate(mutants(step)):
        folder = write_text(case, tmp_path / f"{step}-{index}")
        try:
            spec = describe_folder(f"zoo@{index}", folder)
            model = open_embedder(pull(spec, allow_synthetic=False))
            vectors = model.embed_items(MUTATED_TEXTS)
        except ArtifactError:
            outcomes["refused"] += 1
            continue
        outcomes["followed"] += 1
        if not cosines(vectors, expected).min() > 0.999999:  # also where the library gives none
            wrong.append(f"{case.name}: {cosines(vectors, expected)}")
    assert not wrong, "\n".join([f"{len(wrong)} silent differences", *wrong[:40]])
    assert min(outcomes.values()) > 100 / step, outcomes


def in_shards(folder: Path) -> None:
    """The same weights in two files and an index."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, chosen in parts.items():
        save_file({name: weights[name] for name in chosen}, folder / file)
    index = {"metadata": {}, "weight_map": {name: file for file, chosen in parts.items() for name in chosen}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def in_bfloat16(folder: Path) -> None:
    """The same weights, cut to bfloat16, which numpy cannot write."""
    weights = load_file(folder / "model.safetensors")
    header: dict[str, Any] = {}
    content = b""
    for name, array in weights.items():
        data = (np.ascontiguousarray(array).view(np.uint32) >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": "BF16", "shape": array.shape, "data_offsets": [len(content), len(content) + len(data)]}
        content += data
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    (folder / "model.safetensors").write_bytes(len(encoded).to_bytes(8, "little") + encoded + content)


def rounded(folder: Path, kind: str) -> None:
    """float32 weights with the values that half of the bits leave."""
    weights = load_file(folder / "model.safetensors")
    if kind == "bfloat16":
        cut = {n: (a.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32) for n, a in weights.items()}
    else:
        cut = {n: a.astype(np.float16).astype(np.float32) for n, a in weights.items()}
    save_file(cut, folder / "model.safetensors")


def test_weights_in_several_files_give_the_graph_of_one(tmp_path: Path) -> None:
    one = text_model(write_text(TEXT_CASES[1], tmp_path / "one")).embed(TEXTS)
    several = write_text(TEXT_CASES[1], tmp_path / "several")
    in_shards(several)
    monkey = describe_folder("shards@1", several)
    np.testing.assert_array_equal(TextEmbedder(pull(monkey, allow_synthetic=False)).embed(TEXTS), one)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_half_precision_weights_are_read_as_the_float32_that_they_are(kind: str, tmp_path: Path) -> None:
    half = write_text(TEXT_CASES[1], tmp_path / "half", dtype=np.float16 if kind == "float16" else np.float32)
    if kind == "bfloat16":
        in_bfloat16(half)
    found = text_model(half).embed(TEXTS)
    whole = write_text(TEXT_CASES[1], tmp_path / "whole")
    rounded(whole, kind)
    spec = describe_folder("whole@1", whole)
    np.testing.assert_array_equal(TextEmbedder(pull(spec, allow_synthetic=False)).embed(TEXTS), found)


def test_an_index_that_names_no_file_is_refused(tmp_path: Path) -> None:
    folder = write_text(TEXT_CASES[1], tmp_path / "model")
    in_shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"model\.safetensors\.index\.json: weight_map names"):
        describe_folder("zoo@1", folder)


def as_a_module(folder: Path, *behind: str) -> Path:
    """The same folder as sentence-transformers keeps it: a module of its own, and others behind it."""
    outer = folder.with_name(f"{folder.name}-modules")
    outer.mkdir()
    folder.rename(outer / "0_CLIPModel")
    kinds = [("0_CLIPModel", "CLIPModel"), *((f"{i}_{kind}", kind) for i, kind in enumerate(behind, 1))]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    (outer / "modules.json").write_text(json.dumps(listed))
    return outer


def test_a_clip_within_sentence_transformers_is_prepared_by_its_own_file(tmp_path: Path) -> None:
    case = next(case for case in PICTURE_CASES if case.note == " unscaled")
    model = image_model(as_a_module(write_picture(case, tmp_path / "model")))
    vectors = model.embed([picture(name) for name in PICTURES])
    assert cosines(vectors, LIBRARY[case.name]).min() > 0.99999


@pytest.mark.parametrize("tower", ["image", "text"])
def test_what_stands_behind_towers_is_refused_by_name(tower: str, tmp_path: Path) -> None:
    folder = as_a_module(write_picture(PICTURE_CASES[0], tmp_path / "model"), "Dense")
    with pytest.raises(ArtifactError, match=r"modules\.json lists CLIPModel, Dense"):
        describe_folder("zoo@1", folder, "fp32", tower)  # type: ignore[arg-type]


@BF16
@pytest.mark.parametrize("case", ALL_TEXTS, ids=[case.name for case in ALL_TEXTS])
def test_texts_in_bf16_lie_close_and_have_the_same_bits_alone(case: Text, tmp_path: Path) -> None:
    model = text_model(write_text(case, tmp_path / "model"), "bf16")
    vectors = model.embed(TEXTS)
    assert cosines(vectors, LIBRARY[case.name]).min() > IN_BF16
    np.testing.assert_array_equal(np.concatenate([model.embed([text]) for text in TEXTS]), vectors)


@BF16
@pytest.mark.parametrize("case", PICTURE_CASES, ids=[case.name for case in PICTURE_CASES])
def test_pictures_in_bf16_lie_close_and_have_the_same_bits_alone(case: Picture, tmp_path: Path) -> None:
    model = image_model(write_picture(case, tmp_path / "model"), "bf16")
    inputs = [picture(name) for name in PICTURES]
    vectors = model.embed(inputs)
    assert cosines(vectors, LIBRARY[case.name]).min() > IN_BF16
    np.testing.assert_array_equal(np.concatenate([model.embed([one]) for one in inputs]), vectors)
