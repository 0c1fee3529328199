"""Every way in which a folder prepares pictures: the vector is the library's own, or the folder is refused by file and key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.catalog.artifact import Artifact
from models.catalog.custom import describe_folder
from models.catalog.open_clip import open_clip_preparation
from models.catalog.picture_files import preparation_in
from models.catalog.picture_processors import HARMLESS
from models.errors import ArtifactError
from models.inputs.image import decode
from models.inputs.preparation import Framing, Preparation
from models.modalities.image import ImageEmbedder
from tests.data.zoo.pictures import (
    DIMENSIONS,
    SIDE,
    Case,
    combinations,
    mutations,
    oblongs,
    open_clip_cases,
    projection,
)

DATA = Path(__file__).resolve().parents[2] / "data"
LIBRARY = np.load(DATA / "zoo" / "pictures.npz")
CLOSE = 0.99999
T = TypeVar("T")


def write_graph(path: Path, shape: tuple[int, int]) -> None:
    """A finished graph whose vector is the projection of its pixel values."""
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "projection"], ["image_embeds"]),
    ]
    pixels = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, *shape])
    output = helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", DIMENSIONS])
    weights = [numpy_helper.from_array(projection(shape).astype(np.float32), "projection")]
    graph = helper.make_graph(nodes, "zoo", [pixels], [output], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def picture(name: str) -> bytes:
    return (DATA / "pictures" / name).read_bytes()


def taken_or_refused(folder: Path, read: Callable[[], T]) -> T | None:
    """What ``read`` returns; None where it refuses the folder and names a file of it. Anything else is an error."""
    try:
        return read()
    except ArtifactError as error:
        reason = str(error)
    assert any(file.name in reason for file in folder.iterdir()), reason
    return None


@pytest.mark.parametrize(
    ("case", "expected"),
    [*zip(combinations(), LIBRARY["combinations"], strict=True), *zip(oblongs(), LIBRARY["oblongs"], strict=True)],
    ids=[case.name for case in (*combinations(), *oblongs())],
)
def test_a_finished_graph_gets_the_pixel_values_of_the_library(
    case: Case, expected: NDArray[np.float32], tmp_path: Path
) -> None:
    folder = case.write(tmp_path / "model")
    graph = folder / "model.onnx"
    write_graph(graph, case.shape)
    taken = np.isfinite(expected).all(axis=1)
    spec = taken_or_refused(folder, lambda: describe_folder("zoo@1", graph))
    if spec is None:
        assert not taken.all(), "the library serves every picture"
        return
    assert taken.any(), "the library takes no picture"
    model = ImageEmbedder(Artifact(spec, graph, None, ""))
    for name, vector in zip(np.array(case.pictures)[taken], expected[taken], strict=True):
        cosine = float((model.embed([picture(name)])[0].astype(np.float64) * vector).sum())
        assert cosine > CLOSE, f"{name}: {cosine}"


@lru_cache(maxsize=256)
def pixels_of(name: str, framing: Framing) -> NDArray[np.uint8]:
    return decode(picture(name), framing)


def of_transformers(folder: Path, case: Case) -> Preparation:
    return preparation_in(folder, case.files["config.json"], (SIDE, SIDE)).preparation


def of_open_clip(folder: Path, case: Case) -> Preparation:
    return open_clip_preparation(case.files["open_clip_config.json"]["preprocess_cfg"], SIDE)


@pytest.mark.parametrize(
    ("cases", "library", "read", "least"),
    [(mutations, "mutations", of_transformers, 500), (open_clip_cases, "open_clip", of_open_clip, 30)],
    ids=["transformers'", "OpenCLIP's"],
)
def test_a_mutated_file_is_followed_as_its_library_does_or_refused_by_name(
    cases: Callable[[], Iterator[Case]],
    library: str,
    read: Callable[[Path, Case], Preparation],
    least: int,
    tmp_path: Path,
) -> None:
    matrix, wrong = projection(), []
    outcomes = {"followed": 0, "refused": 0}
    for index, (case, expected) in enumerate(zip(cases(), LIBRARY[library], strict=True)):
        folder = case.write(tmp_path / str(index))
        found = taken_or_refused(folder, partial(read, folder, case))
        if found is None:
            outcomes["refused"] += 1
            continue
        outcomes["followed"] += 1
        for name, vector in zip(case.pictures, expected, strict=True):
            values = found.values([pixels_of(name, found.framing)])
            ours = values.astype(np.float64).ravel() @ matrix
            cosine = float((ours * vector).sum() / max(np.linalg.norm(ours), 1e-9))
            if not cosine > CLOSE:  # also where the library gives none
                wrong.append(f"{case.name}, {name}: {cosine}")
    assert not wrong, "\n".join([f"{len(wrong)} silent differences", *wrong[:40]])
    assert min(outcomes.values()) > least, outcomes


def test_harmless_keys_have_a_reason() -> None:
    assert all(reason for reason in HARMLESS.values())
